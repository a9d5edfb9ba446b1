// The client's side of docs/protocol.md for one room over WebSocket: it joins,
// reconnects with full jitter, resumes by position and sends again what had no
// answer. It knows nothing of the page.

const firstDelay = 500; // ms; the bound of the first random delay
const longestDelay = 20_000; // ms
const sendTimeout = 15_000; // ms, over all reconnects of one send
const pongTimeout = 8_000; // ms
const settled = 10_000; // ms that a connection must last to count as a good one

// What a code allows, where it is not to connect again. See the table of
// errors in the protocol.
const final = new Set(['bad_request', 'forbidden', 'origin', 'not_found', 'kicked', 'room_closed', 'conflict']);
const finalCloses = new Set([4400, 4403, 4404, 4409, 4410, 4430]);

/** A refusal of the server, or the lack of an answer. */
export class RoomError extends Error {
  /** @param {{code: string, reason?: string, retry_ms?: number}} message */
  constructor({ code, reason, retry_ms }) {
    super(reason || code);
    this.code = code;
    this.retryMs = retry_ms ?? 0;
  }
}

/**
 * A room that one can join, follow and send to. Every event is a CustomEvent
 * whose detail is named here:
 *
 *   status  {status: 'connecting'|'joined'|'waiting'|'stopped', delay?, error?}
 *   welcome the user: {id, name, roles}
 *   joined  {recovered, missed, state, events}: unless recovered, what was shown before is void
 *   events  the array of new events
 *   gap     the number of danmaku that were left out
 *   online  the number of sessions in the room
 *   direct  a message for this user alone
 *   latency the round trip to the server in milliseconds
 */
export class Connection extends EventTarget {
  #url;
  #room;
  #identify;
  #socket = null;
  #position = null; // {epoch, seq} of the last event seen
  #joined = false;
  #stopped = false;
  #attempt = 0; // failures in a row
  #joinedAt = Infinity; // by performance.now
  #retryMs = 0; // what the server asked for
  #waiting = 0; // timer of the next attempt
  #alive = 0; // timer of the heartbeat
  #heartbeat = 25_000;
  #pinged = 0; // when, by performance.now
  #lastId = 0;
  #joinId = 0;
  #pending = new Map(); // id → send that has no answer yet

  /**
   * @param {{url: URL, room: string, identify: () => Promise<void>}} options
   * identify makes sure that the browser has a valid cookie; it is called
   * before each attempt, so that an expired identity heals itself.
   */
  constructor({ url, room, identify }) {
    super();
    this.#url = url;
    this.#room = room;
    this.#identify = identify;
    const now = () => this.#waiting && this.#connect();
    addEventListener('online', now);
    document.addEventListener('visibilitychange', () => document.hidden || now());
    addEventListener('pagehide', () => this.#socket?.close(1000));
    addEventListener('pageshow', (e) => e.persisted && now());
    this.#connect();
  }

  /** Connects again, for example as a user with another name. */
  restart() {
    this.#attempt = 0;
    this.#retryMs = 0;
    this.#stopped = false;
    if (!this.#socket) this.#connect();
    else this.#drop(1);
  }

  /**
   * Sends an event and resolves with its fate: {status, event}. A send survives
   * reconnects: it is repeated under the same cid, which has one effect.
   * Rejects with a RoomError.
   */
  send(kind, body) {
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId;
      const message = { op: 'send', id, room: this.#room, kind, cid: crypto.randomUUID?.() ?? randomId(), body };
      const timer = setTimeout(() => this.#settle(id, { op: 'error', code: 'timeout' }), sendTimeout);
      this.#pending.set(id, { message, resolve, reject, timer });
      if (this.#joined) this.#write(message);
    });
  }

  async #connect() {
    clearTimeout(this.#waiting);
    this.#waiting = 0;
    this.#report('connecting');
    try {
      await this.#identify();
    } catch {
      this.#retry();
      return;
    }
    if (this.#stopped || this.#socket) return;
    const socket = new WebSocket(this.#url, ['im.v1']);
    this.#socket = socket;
    this.#watch();
    socket.addEventListener('message', (e) => {
      if (this.#socket !== socket) return;
      this.#watch();
      const data = JSON.parse(e.data);
      for (const message of Array.isArray(data) ? data : [data]) this.#receive(message);
    });
    socket.addEventListener('close', (e) => this.#socket === socket && this.#closed(e.code));
  }

  #closed(code) {
    this.#socket = null;
    this.#joined = false;
    clearTimeout(this.#alive);
    if (performance.now() - this.#joinedAt > settled) this.#attempt = 0;
    this.#joinedAt = Infinity;
    if (finalCloses.has(code)) this.#stop(new RoomError({ code: `closed with ${code}` }));
    if (!this.#stopped) this.#retry();
  }

  // Drops a socket without waiting for the other side, which may be gone.
  #drop(retryMs = 0) {
    const socket = this.#socket;
    this.#retryMs = retryMs;
    this.#closed(1006);
    socket?.close(1000);
  }

  #retry() {
    if (this.#stopped) return;
    // Full jitter: a crowd that lost its server at once does not come back at once.
    const bound = Math.min(longestDelay, firstDelay * 2 ** this.#attempt++);
    const delay = this.#retryMs || Math.random() * bound;
    this.#retryMs = 0;
    clearTimeout(this.#waiting);
    this.#waiting = setTimeout(() => this.#connect(), delay);
    this.#report('waiting', { delay });
  }

  #stop(error) {
    this.#stopped = true;
    clearTimeout(this.#waiting);
    this.#waiting = 0;
    for (const id of [...this.#pending.keys()]) this.#settle(id, { op: 'error', code: error.code, reason: error.message });
    this.#report('stopped', { error });
  }

  // A connection that says nothing for a heartbeat is asked, and dropped if it
  // does not answer: browsers do not show the pings of the server.
  #watch() {
    clearTimeout(this.#alive);
    this.#alive = setTimeout(() => {
      this.#ping();
      this.#alive = setTimeout(() => this.#drop(), pongTimeout);
    }, this.#heartbeat);
  }

  #ping() {
    this.#pinged = performance.now();
    this.#write({ op: 'ping', id: ++this.#lastId });
  }

  #write(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #join() {
    this.#joinId = ++this.#lastId;
    const since = this.#position ?? undefined;
    this.#write({ op: 'join', id: this.#joinId, room: this.#room, since });
  }

  #receive(message) {
    if (message.room !== undefined && message.room !== this.#room) return;
    switch (message.op) {
      case 'welcome':
        this.#heartbeat = message.heartbeat_ms || this.#heartbeat;
        this.#emit('welcome', message.user);
        this.#join();
        break;
      case 'joined':
      case 'reset':
        this.#enter(message);
        break;
      case 'events':
        this.#advance(message);
        break;
      case 'gap':
        if (this.#position && message.to > this.#position.seq) this.#position.seq = message.to;
        this.#emit('gap', message.missed);
        break;
      case 'online':
        this.#emit('online', message.count);
        break;
      case 'direct':
        this.#emit('direct', message);
        break;
      case 'pong':
        this.#emit('latency', performance.now() - this.#pinged);
        break;
      case 'ack':
      case 'error':
        this.#answer(message);
        break;
      case 'left':
        if (message.code) this.#refuse(message);
        break;
      case 'bye':
        this.#refuse(message);
        break;
    }
  }

  #enter({ op, epoch, seq, recovered = false, missed = 0, state = {}, online, events = [] }) {
    const fresh = !this.#position;
    this.#position = { epoch, seq };
    this.#joined = true;
    this.#joinedAt = Math.min(this.#joinedAt, performance.now());
    this.#emit('joined', { recovered, missed, state, events, fresh });
    if (online !== undefined) this.#emit('online', online);
    this.#report('joined');
    this.#ping();
    if (op === 'joined') for (const { message } of this.#pending.values()) this.#write(message);
  }

  #advance({ prev, to, events }) {
    if (!this.#joined) return;
    if (prev > this.#position.seq) { // something was lost on the way
      this.#joined = false;
      this.#join();
      return;
    }
    const seen = this.#position.seq;
    const fresh = events.filter((e) => e.seq === undefined || e.seq > seen);
    this.#position.seq = Math.max(seen, to);
    if (fresh.length > 0) this.#emit('events', fresh);
  }

  #answer(message) {
    if (message.op === 'error' && (message.id === this.#joinId || message.id === undefined)) {
      this.#refuse(message);
      return;
    }
    const send = this.#pending.get(message.id);
    if (message.status === 'unknown' && send) {
      setTimeout(() => this.#pending.has(message.id) && this.#write(send.message), firstDelay);
      return;
    }
    this.#settle(message.id, message);
  }

  // The server does not want this session, for good or for now.
  #refuse(message) {
    if (final.has(message.code)) {
      this.#stop(new RoomError(message));
      this.#socket?.close(1000);
    } else {
      this.#drop(message.retry_ms);
    }
  }

  #settle(id, answer) {
    const send = this.#pending.get(id);
    if (!send) return;
    this.#pending.delete(id);
    clearTimeout(send.timer);
    if (answer.op === 'error') send.reject(new RoomError(answer));
    else send.resolve(answer);
  }

  #report(status, more = {}) {
    this.#emit('status', { status, ...more });
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

// crypto.randomUUID is missing on pages that came over plain HTTP from another host.
function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, '0')).join('');
}
