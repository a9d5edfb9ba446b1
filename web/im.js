// The browser client of im: live rooms over WebSocket, server-sent events or
// long-poll, whichever gets through. docs/protocol.md says what goes over the wire.
//
//   import { connect } from './im.js'
//   const client = connect('/im', { token: async () => (await fetch('/token')).text() })
//   const room = await client.join('42')
//   room.on('event', (e) => show(e.kind, e.from, e.body))
//   await room.send('danmaku', { text: 'hi' })
//
// Types and the documentation of every option: im.d.ts, README.md.
//
// From the inside out: errors, small tools, the links (one connection by one
// transport), Membership (what is known of a room), Core (requests, reconnects,
// the choice of transport), and Client and Room, which are all that a page sees.

// ---------------------------------------------------------------- errors

/** What a code allows, its WebSocket close code and its HTTP status. The first to have a number gives it its meaning. */
const CODES = {
  bad_request: ['never', 4400, 400],
  unauthorized: ['with_token', 4401, 401],
  expired: ['with_token', 4419, 401],
  forbidden: ['never', 4403, 403],
  room_mode: ['never', 4403, 403],
  origin: ['never', 4403, 403],
  not_found: ['never', 4404, 404],
  conflict: ['never', 4409, 409],
  not_joined: ['never', 4409, 409],
  room_closed: ['never', 4410, 410],
  kicked: ['never', 4430, 403],
  too_large: ['never', 1009, 413],
  rate_limited: ['later', 4429, 429],
  overloaded: ['later', 1013, 503],
  timeout: ['later', 4504, 504],
  slow_consumer: ['reconnect', 4408, 408],
  shutdown: ['reconnect', 1012, 503],
  internal: ['later', 1011, 500],
  // What the client itself finds:
  connection_lost: ['reconnect'],
  token_failed: ['later'],
};

/** A refusal of the server, or a failure of the client itself. Decide by `code`; `reason` is for people. */
export class ImError extends Error {
  /**
   * @param {string} code
   * @param {string} [reason]
   * @param {{retryAfter?: number, cid?: string, cause?: unknown}} [more]
   */
  constructor(code, reason, { retryAfter = 0, cid, cause } = {}) {
    super(reason ? `${code}: ${reason}` : code, cause === undefined ? undefined : { cause });
    this.name = 'ImError';
    this.code = code;
    this.reason = reason ?? '';
    /** Milliseconds that the server asks to wait; 0 without advice. */
    this.retryAfter = retryAfter;
    /** 'never', 'later', 'with_token' or 'reconnect'. Codes of the host count as 'never'. */
    this.retry = CODES[code]?.[0] ?? 'never';
    /** Of a request that was sent under one. */
    this.cid = cid;
  }
}

const lost = (reason, cause) => new ImError('connection_lost', reason, { cause });

/** The refusal that a message of the server carries. */
const refusal = (m, fallback) => new ImError(m.code || fallback, m.reason, { retryAfter: Math.max(m.retry_ms, 0) || 0 });

const codeOf = (place, number) => Object.keys(CODES).find((code) => CODES[code][place] === number);

/** What a WebSocket close code means. */
function closeError(number, reason) {
  const code = codeOf(1, number);
  return code ? new ImError(code, reason) : lost(`the connection was closed (${number})`);
}

/** What an HTTP status means that comes without a message of the protocol, perhaps not from the hub. */
function statusError(status, retryAfter) {
  const code = status === 503 ? 'overloaded' : (codeOf(2, status) ?? (status >= 500 ? 'internal' : 'not_found'));
  return Object.assign(new ImError(code, `HTTP status ${status}`, { retryAfter }), { bare: true });
}

// ---------------------------------------------------------------- tools

/** Calls every function, and reports what they throw as the browser reports errors of handlers. */
function tell(functions, ...args) {
  for (const fn of [...(functions ?? [])]) {
    try {
      fn(...args);
    } catch (error) {
      (globalThis.reportError ?? console.error)(error);
    }
  }
}

/** Handlers by type. */
class Handlers {
  #map = new Map();

  /** @returns a function that takes the handler away again */
  on(type, fn, { signal } = {}) {
    if (typeof fn !== 'function') throw new TypeError(`the handler of '${type}' is not a function`);
    const off = () => this.#map.get(type)?.delete(entry);
    const entry = (arg, more) => fn(arg, more); // so that one function may be added twice
    if (signal?.aborted) return off;
    if (!this.#map.has(type)) this.#map.set(type, new Set());
    this.#map.get(type).add(entry);
    signal?.addEventListener('abort', off, { once: true });
    return off;
  }

  emit(type, arg, more) {
    tell(this.#map.get(type), arg, more);
  }
}

const EARLY = 30_000; // a server that restarts is back within this time,
const EARLY_MAX = 5_000; // so that the ceiling stays below this

/**
 * Delays with full jitter: uniform between zero and a ceiling that doubles with
 * each attempt ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015). Clients that
 * were cut off together come back spread out. Package client of the Go module has the same numbers.
 */
class Backoff {
  #attempt = 0;
  #late = 0; // when EARLY is over; 0 before the first attempt

  constructor(min, max, { random, now }) {
    Object.assign(this, { min, max, random, now });
  }

  get ceiling() {
    const early = !this.#late || this.now() < this.#late;
    const max = early ? Math.min(this.max, Math.max(this.min, EARLY_MAX)) : this.max;
    return Math.min(max, this.min * 2 ** this.#attempt);
  }

  /** The delay before the next attempt: the server's advice, and the jitter on top of it. */
  next(advice = 0) {
    this.#late ||= this.now() + advice + EARLY;
    const { ceiling } = this;
    if (ceiling === this.min * 2 ** this.#attempt) this.#attempt++;
    return advice + this.random() * ceiling;
  }

  /** Forgets the attempts, unless what they led to did not last. */
  reset(lasted = Infinity) {
    if (lasted >= this.ceiling) this.#attempt = this.#late = 0;
  }
}

/**
 * A parser of text/event-stream (the WHATWG rules). Feed it text in any pieces.
 * @param {(event: {data: string, id: string, type: string}) => void} onevent
 */
function eventStream(onevent) {
  let rest = '';
  let afterCR = false; // a line feed that comes next belongs to the line end before
  let data = [];
  let id = '';
  let type = '';
  const line = (text) => {
    if (text === '') {
      if (data.length) onevent({ data: data.join('\n'), id, type });
      data = [];
      type = '';
      return;
    }
    const [, field, value] = /^([^:]*):? ?([^]*)$/.exec(text); // a comment has the field ''
    if (field === 'data') data.push(value);
    else if (field === 'event') type = value;
    else if (field === 'id' && !value.includes('\0')) id = value;
  };
  return (text) => {
    if (text === '') return;
    if (afterCR && text[0] === '\n') text = text.slice(1);
    afterCR = text.endsWith('\r');
    const lines = (rest + text).split(/\r\n|\n|\r/);
    rest = lines.pop();
    lines.forEach(line);
  };
}

/** The messages in a text of the server: an object or an array of them. */
function decode(text) {
  const value = JSON.parse(text);
  return (Array.isArray(value) ? value : [value]).filter((m) => m?.op);
}

const MAX_BATCH = 64; // requests in one message
const MAX_BYTES = 64 << 10; // of one message
const bytes = (text) => new TextEncoder().encode(text).length;

/** Takes as many requests from the front of the list as one message may hold. */
function pack(calls) {
  let size = 2;
  let n = 0;
  while (n < calls.length && n < MAX_BATCH && (n === 0 || size + calls[n].size < MAX_BYTES)) size += calls[n++].size + 1;
  return calls.splice(0, n);
}

const envelope = (calls) => (calls.length === 1 ? calls[0].text : `[${calls.map((k) => k.text)}]`);

/** A position as URLs have it. */
const place = (pos) => (pos ? `${pos.epoch}.${pos.seq}` : '');

/** Adds rooms, their positions and tiers to a query. */
function addRooms(query, rooms) {
  for (const r of rooms) {
    query.append('room', r.name);
    query.append('since', place(r.pos));
    query.append('tier', r.tier ?? '');
  }
  return query;
}

const PING = { text: '{"op":"ping"}', size: 13 };

const post = (body) => ({ method: 'POST', body, headers: { 'Content-Type': 'application/json' } });

// ---------------------------------------------------------------- links

/**
 * A link is one connection by one transport. It carries requests with send, and hands what comes to
 * core.receive; core attaches it at the first welcome. It ends once, with fail.
 */
class Link {
  heard = 0; // how often something has come
  pongs = 0;
  since = 0; // when the welcome came, on the monotonic clock
  dead = false;
  opened = false;
  stop = new AbortController();
  #limit;

  /** @param token returns a promise of the token, the same however often it is called */
  constructor(core, kind, token, patience) {
    Object.assign(this, { core, kind, token, patience, env: core.env });
    /** Fulfilled with the error at the end. */
    this.ended = new Promise((resolve) => (this.over = resolve));
    /** Fulfilled when the link is attached or has ended. */
    this.decided = new Promise((resolve) => (this.decide = resolve));
  }

  /** Ends the link unless something comes within so many milliseconds. */
  limit(ms) {
    this.unlimit();
    this.#limit = this.env.setTimeout(() => this.fail(lost(`no welcome over ${this.kind} in time`)), ms);
  }

  unlimit() {
    this.env.clearTimeout(this.#limit);
  }

  /** The token, '' without a callback. The time that it takes says nothing of the transport. */
  async identify() {
    this.unlimit();
    return this.core.options.token ? this.token() : '';
  }

  /** Takes what came over the link. */
  take(text) {
    let messages;
    try {
      messages = decode(text);
    } catch (error) {
      return this.fail(lost('the server sent what is not a message', error));
    }
    this.unlimit();
    this.heard++;
    this.seen?.(messages);
    this.core.receive(this, messages);
  }

  fail(error) {
    if (this.dead) return;
    this.dead = true;
    this.unlimit();
    this.stop.abort();
    this.core.detach(this, error);
    this.decide();
    this.over(error);
  }
}

const MAX_QUERY = 2 << 10; // of the URL of a WebSocket; rooms that do not fit in are joined by a message
const MAX_QUERY_ROOMS = 8;

/** Whether a query may name the room. The server refuses the whole handshake for one that is malformed. */
const fitsQuery = ({ name, pos }) =>
  name && bytes(name) <= 128 && !/\p{Cc}/u.test(name) && (!pos || (pos.epoch && pos.seq >= 0 && Number.isSafeInteger(pos.seq)));

class SocketLink extends Link {
  /** How long the server may stay silent after a ping. */
  quiet = 10_000;
  #asked = new Map(); // rooms in the URL: how each is to be entered

  start() {
    this.limit(this.patience);
    let socket;
    try {
      socket = this.socket = new this.env.WebSocket(this.core.url('ws') + this.#query(), 'im.v1');
    } catch (error) {
      return this.fail(lost('no WebSocket', error)); // a content policy, for example
    }
    socket.onopen = () => this.hello().catch((error) => this.fail(error));
    socket.onmessage = ({ data }) => this.dead || this.take(data);
    socket.onclose = ({ code, reason }) => this.fail(closeError(code, reason));
    socket.onerror = () => this.shaken || this.fail(lost('the WebSocket did not open')); // Node 20 tells no close then
    this.stop.signal.addEventListener('abort', () => {
      socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null;
      socket.close();
    });
  }

  /**
   * The rooms, so that the handshake joins them. A token comes only after it. While another link serves, positions
   * change. And where such a handshake fails, something may be in its way: the next one is without.
   */
  #query() {
    const { core } = this;
    const rooms = core.options.token || core.link || core.wary ? [] : core.wanted().filter(fitsQuery).slice(0, MAX_QUERY_ROOMS);
    let query;
    while ((query = `?${addRooms(new URLSearchParams(), rooms)}`).length > MAX_QUERY) rooms.pop();
    core.wary = rooms.length > 0;
    for (const r of rooms) this.#asked.set(r.name, this.#entry(r));
    return rooms.length ? query : '';
  }

  #entry(r) {
    return `${place(r.pos)} ${r.tier ?? ''}`;
  }

  /** Whether the server, which says by its welcome what it joins, does so as the room is to be joined now. */
  joins(r, { joining }) {
    return joining?.includes?.(r.name) && this.#asked.get(r.name) === this.#entry(r);
  }

  async hello() {
    this.shaken = true;
    this.core.wary = false;
    const token = await this.identify();
    if (this.dead || this.opened) return;
    if (token) this.socket.send(JSON.stringify({ op: 'hello', token }));
    this.limit(this.patience);
  }

  send(calls) {
    while (calls.length && !this.dead) this.socket.send(envelope(pack(calls)));
  }
}

/**
 * What server-sent events and long-poll share. Rooms are part of the URL, so
 * joins and leaves open the way anew; everything else goes by POST, one at a time to keep the order.
 */
class HttpLink extends Link {
  quiet = 40_000; // comments come every 15 s, answers to polls every 25 s
  implicit = true; // a joined without id answers the join
  /** Rooms of the newest request that have not been answered yet, with their tiers. */
  asked = new Map();
  #outbox = [];
  #posting = false;
  #authorization = '';

  start() {
    this.identify()
      .then((token) => this.renew(token))
      .catch((error) => this.fail(error));
  }

  /** Opens the way anew under the token. */
  renew(token) {
    this.#authorization = token && `Bearer ${token}`;
    if (!this.dead) this.open(true);
  }

  send(calls) {
    let again = false;
    let fresh = false;
    for (const k of calls) {
      const { op, id, room, tier } = k.req ?? {};
      if (op === 'join') {
        if (this.asked.get(room) === (tier ?? '')) continue;
        again = true;
        fresh ||= this.knows?.(room);
      } else if (op === 'leave') {
        again = true;
        queueMicrotask(() => this.core.receive(this, [{ op: 'left', id, room }]));
      } else {
        this.#outbox.push(k);
      }
    }
    if (again) this.open(fresh);
    this.#post();
  }

  seen(messages) {
    for (const m of messages) if (m.op === 'joined' || m.op === 'left') this.asked.delete(m.room);
  }

  /** The rooms, their positions and tiers as a query. */
  query(more) {
    const rooms = this.core.wanted();
    this.asked = new Map(rooms.map((r) => [r.name, r.tier ?? '']));
    return addRooms(new URLSearchParams(more), rooms);
  }

  request(path, query, init) {
    const headers = { ...init.headers };
    if (this.#authorization) headers.Authorization = this.#authorization;
    const { credentials } = this.core.options;
    const url = this.core.url(path);
    return this.env.fetch(`${query}` ? `${url}?${query}` : url, { cache: 'no-store', credentials, signal: this.stop.signal, ...init, headers });
  }

  /** The error in an answer that is not the protocol's, or is an error as a whole. */
  problem(response, text) {
    const wait = response.headers.get('Retry-After');
    const retryAfter = Math.max(wait > 0 ? wait * 1000 : Date.parse(wait) - Date.now(), 0) || 0;
    try {
      const m = decode(text)[0];
      if (m.code) return refusal({ retry_ms: retryAfter, ...m });
    } catch {
      // not a message
    }
    return statusError(response.status, retryAfter);
  }

  async #post() {
    if (this.#posting || this.dead) return;
    this.#outbox = this.core.live(this.#outbox);
    const calls = pack(this.#outbox);
    if (!calls.length) return;
    this.#posting = true;
    const timer = this.env.setTimeout(() => this.fail(lost('no answer to a POST')), this.core.options.answerTimeout);
    try {
      const { sid } = this.core;
      const response = await this.request('send', new URLSearchParams(sid && { sid }), post(envelope(calls)));
      this.#answered(calls, response, await response.text());
    } catch (error) {
      this.fail(lost('a POST failed', error));
    } finally {
      this.env.clearTimeout(timer);
      this.#posting = false;
      this.#post();
    }
  }

  #answered(calls, response, text) {
    let answers = [];
    try {
      answers = decode(text);
    } catch (error) {
      if (response.ok) throw error;
    }
    if (response.ok || answers[0]?.id) return this.core.receive(this, answers);
    const error = this.problem(response, text);
    // What a proxy says, or concerns the connection, ends the link; the calls go on over the next one.
    if (!answers.length && response.status >= 500) return this.fail(error);
    if (error.retry === 'with_token' || error.retry === 'reconnect') return this.fail(error);
    const { code, reason, retryAfter } = error;
    this.core.receive(this, calls.filter((k) => k.req).map(({ id }) => ({ op: 'error', id, code, reason, retry_ms: retryAfter })));
  }
}

/**
 * Browsers do not tell a page why a WebSocket was refused. This link serves nothing: it asks the hub
 * for as little as possible, and ends with the reason, or with connection_lost if it finds none.
 */
class Inquiry extends HttpLink {
  #named = !this.core.options.token; // the request carries all that says who this is

  start() {
    this.renew(''); // while the hub is down nobody has to make tokens
  }

  async open() {
    this.limit(this.patience);
    let error;
    try {
      const init = { ...post(PING.text), credentials: 'include' }; // a handshake carries cookies to other origins too
      const response = await this.request('send', '', init);
      const text = await response.text();
      if (!response.ok) error = this.problem(response, text);
    } catch {
      // the network, or a hub that is down
    }
    const refused = error?.retry === 'with_token';
    if (refused && !this.#named) {
      this.#named = true;
      return super.start();
    }
    // What is not in the hub's words is of something at this path that may have nothing to do with the WebSocket.
    this.fail(error && (refused || !error.bare) ? error : lost('nobody knows why the WebSocket did not open'));
  }
}

class StreamLink extends HttpLink {
  #cut;

  /** Opens the stream, in place of the one that there is. */
  async open() {
    this.#cut?.abort();
    const cut = (this.#cut = new AbortController());
    this.stop.signal.addEventListener('abort', () => cut.abort(), { signal: cut.signal });
    this.limit(this.patience);
    try {
      const { sid } = this.core;
      const init = { headers: { Accept: 'text/event-stream' }, signal: cut.signal };
      const response = await this.request('sse', this.query(sid && { sid }), init);
      if (!response.ok) throw this.problem(response, await response.text());
      if (!response.headers.get('Content-Type')?.startsWith('text/event-stream')) throw lost('something else answers in place of the stream');
      const reader = response.body.getReader();
      const text = new TextDecoder();
      const parse = eventStream((e) => cut.signal.aborted || this.take(e.data));
      for (;;) {
        const { done, value } = await reader.read();
        if (cut.signal.aborted) return;
        if (done) throw lost('the stream has ended');
        this.heard++;
        parse(text.decode(value, { stream: true }));
      }
    } catch (error) {
      if (!cut.signal.aborted) this.fail(error instanceof ImError ? error : lost('the stream broke', error));
    }
  }
}

class PollLink extends HttpLink {
  #newest = 0; // the request whose answer leads to the next one
  #session = 0; // of requests under one sid
  #sid = '';
  #rooms = new Set(); // that were joined under the sid

  knows(room) {
    return this.#rooms.has(room);
  }

  seen(messages) {
    super.seen(messages);
    for (const m of messages) {
      if (m.op === 'welcome') this.#sid = m.sid;
      else if (m.op === 'joined') this.#rooms.add(m.room);
      else if (m.op === 'left') this.#rooms.delete(m.room);
    }
  }

  /** Asks now. A request that is waiting is then answered at once. A fresh one joins the rooms anew. */
  async open(fresh) {
    if (fresh) {
      this.#session++;
      this.#sid = '';
      this.#rooms.clear();
      this.limit(this.patience);
    }
    const turn = ++this.#newest;
    const session = this.#session;
    const query = this.query(this.#sid ? { sid: this.#sid, wait: 25_000 } : { wait: 0 });
    for (const room of this.#rooms) if (!this.asked.delete(room)) this.#rooms.delete(room);
    const began = this.env.now();
    try {
      const response = await this.request('poll', query, {});
      const text = await response.text();
      if (this.dead || session !== this.#session) return;
      if (!response.ok) throw this.problem(response, text);
      this.take(text);
      if (this.dead || turn !== this.#newest) return;
      if (text.length > 2 || this.env.now() - began > 1000) return void this.open();
      this.env.setTimeout(() => turn === this.#newest && !this.dead && this.open(), 1000); // something answers in the hub's place
    } catch (error) {
      if (session === this.#session) this.fail(error instanceof ImError ? error : lost('a poll failed', error));
    }
  }
}

const LINKS = { websocket: SocketLink, sse: StreamLink, poll: PollLink };

// ---------------------------------------------------------------- a room from the inside

/** What is known of a room: position, state, membership. It folds what the server says and tells the page. */
class Membership {
  handlers = new Handlers();
  keys = new Handlers(); // of single keys of the state
  pos = null; // where the room is
  seen = null; // where the page is
  state = new Map();
  online = 0;
  told = {}; // what is of interest now, by kind
  error = null; // why this is over
  in = false; // joined over the present link
  joining = null; // the call of the join under way
  entered = false; // joined at least once
  waiters = []; // of the outcome of joins
  timer = undefined; // joins again
  backlog = []; // updates until the page has had time to add its handlers

  constructor(core, name, since, tier) {
    Object.assign(this, { core, name, tier, pos: since, seen: since });
    this.retry = core.backoff();
  }

  /** Shows the page an update, after which it is at seen, or with undefined where it was. */
  show(type, arg, seen) {
    if (this.error) return;
    const gone = type === 'event' && removalOf(arg, this.pos?.epoch);
    if (this.backlog) {
      if (gone) this.backlog = this.backlog.filter(([, e]) => !gone.has(e));
      return void this.backlog.push([type, arg, seen]);
    }
    if (seen !== undefined) this.seen = seen;
    if (type === 'state') this.keys.emit(arg.key, arg.value, arg.version);
    this.handlers.emit(type, arg);
    if (gone) this.handlers.emit('removed', gone);
  }

  /** The page has had time: shows what has come. */
  release() {
    const items = this.backlog ?? [];
    this.backlog = null;
    for (const item of items) this.show(...item);
  }

  /** Folds joined and reset. What the page did not ask for is no news for it, unless something is missing. */
  enter(m, unasked) {
    const pos = position(m.epoch, m.seq);
    const goesOn = m.recovered && this.pos?.epoch === m.epoch;
    // The server may have answered from an older position than the present one.
    const newer = !goesOn || pos.seq >= this.pos.seq || !this.entered;
    const changed = newer ? this.replace(m.state) : [];
    this.online = m.online ?? this.online;
    this.told = m.told ?? {};
    const about = { position: pos, missed: m.missed ?? 0, online: this.online };
    if (goesOn) {
      if (!unasked) this.show('resumed', about);
      else if (about.missed) this.show('gap', { missed: about.missed });
      changed.forEach((key) => this.tellKey(key));
      this.deliver(m.events, !newer);
      if (newer) this.pos = pos;
    } else {
      this.pos = pos;
      this.show('reset', about, null); // no position to resume from before the last event
      changed.forEach((key) => this.tellKey(key));
      for (const e of m.events ?? []) this.show('event', { ...e, replayed: true }, e.seq ? position(m.epoch, e.seq) : undefined);
    }
    this.settle();
  }

  /** The page has seen all that there is up to the position. */
  settle() {
    if (this.backlog?.length) this.backlog.at(-1)[2] = this.pos;
    else this.seen = this.pos;
  }

  /** Folds events. @returns false if something before them was lost */
  events(m) {
    if (m.prev > this.pos.seq) return false;
    this.deliver(m.events, true);
    if (m.to > this.pos.seq) this.pos = position(this.pos.epoch, m.to);
    this.settle();
    return true;
  }

  /** Folds a gap. @returns false if something before it was lost */
  gap(m) {
    if (m.prev > this.pos.seq) return false;
    if (m.to >= this.pos.seq) {
      this.pos = position(this.pos.epoch, m.to);
      this.show('gap', { missed: m.missed ?? 0 }, this.pos);
      this.settle();
    }
    return true;
  }

  /** Folds a tier. @returns false if something before it was lost */
  retiered(m) {
    if (m.prev > this.pos.seq) return false;
    if (m.to > this.pos.seq) this.pos = position(this.pos.epoch, m.to);
    this.show('tier', { tier: m.tier, by: m.by }, this.pos);
    this.settle();
    return true;
  }

  /** Shows the events that are above the position, and those that have no place in the log. */
  deliver(events, fold) {
    for (const e of events ?? []) {
      if (!e.seq) {
        this.show('event', { ...e, replayed: false });
      } else if (e.seq > this.pos.seq) {
        this.pos = position(this.pos.epoch, e.seq);
        const change = fold ? changeOf(e) : null;
        if (change) this.write(change, e.seq);
        this.show('event', { ...e, replayed: false }, this.pos);
        if (change) this.tellKey(change.key);
      }
    }
  }

  write({ key, value, until, owner, ...change }, version) {
    if (change.delete) this.state.delete(key);
    else this.state.set(key, { value, version, ...(until && { until }), ...(owner && { owner }) });
  }

  tellKey(key) {
    const cell = this.state.get(key);
    this.show('state', { key, value: cell?.value, version: cell?.version ?? 0 });
  }

  /** Takes the whole state as the server has it. @returns the keys that are different */
  replace(state = {}) {
    const old = this.state;
    this.state = new Map(Object.entries(state));
    const keys = new Set([...old.keys(), ...this.state.keys()]);
    return [...keys].filter((key) => old.get(key)?.version !== this.state.get(key)?.version);
  }

  /** Tells those who wait for a join its outcome. */
  outcome(error) {
    for (const done of this.waiters.splice(0)) done(error);
  }
}

/** What an event does to the state: a change of a key, or the new total of a merged kind such as likes. */
const changeOf = (e) => {
  if (e.kind === 'state' && e.body?.key !== undefined && (e.body.delete || e.body.value !== undefined)) return e.body;
  if (e.merged && e.body?.total !== undefined) return { key: `im.total.${e.kind}`, value: e.body.total };
  return null;
};

/** What an event deletes, and has(e), which tells it of any event of the room; null: nothing. */
const removalOf = (by, epoch) => {
  const { type, epoch: of, ...what } = { seqs: [], kinds: [], since: 0, ...by.body };
  if (by.kind !== 'moderation' || type !== 'delete' || of !== epoch) return null;
  const { seqs, user, kinds, since } = what;
  const has = (e) => e.seq < by.seq && (seqs.includes(e.seq) || (kinds.includes(e.kind) && e.from?.id === user && e.at >= since));
  return { ...what, has };
};

const position = (epoch, seq) => Object.freeze({ epoch, seq });

// ---------------------------------------------------------------- the client from the inside

const DEFAULTS = {
  transports: ['websocket', 'sse', 'poll'],
  credentials: 'same-origin',
  backoffMin: 500,
  backoffMax: 30_000,
  fallbackTimeout: 4_000,
  connectTimeout: 15_000,
  answerTimeout: 10_000,
  upgradeAfter: 60_000,
  pauseHiddenAfter: 300_000,
};

const STORED = 'im.transport';
const MAX_DELAY = 2 ** 31 - 1; // of setTimeout
const STEADY = 10_000; // a link that ends earlier, for no reason of the server's, counts as failed
const CHECK = 5_000; // how long a link may be silent that there is reason to doubt
const PATIENCE = 3; // failures in a row of a transport that has worked before

/** What the client needs of the world. Tests bring their own. */
function world(env) {
  const g = globalThis;
  let storage = null;
  try {
    storage = g.sessionStorage; // throws where the page may not
  } catch {
    // then nothing is remembered
  }
  return {
    WebSocket: g.WebSocket,
    fetch: g.fetch?.bind(g),
    setTimeout: (fn, ms) => g.setTimeout(fn, ms),
    clearTimeout: (timer) => g.clearTimeout(timer),
    now: () => performance.now(),
    date: () => Date.now(),
    random: Math.random,
    storage,
    window: g.addEventListener ? g : null,
    document: g.document,
    navigator: g.navigator,
    ...env,
  };
}

/** The absolute URL of the mount, without a slash at the end. */
function mountURL(mount, base) {
  let url;
  try {
    url = new URL(mount, base);
  } catch {
    throw new TypeError("connect needs the URL of the hub's mount: '/im' in a page, 'https://example.org/im' elsewhere");
  }
  url.protocol = url.protocol.replace('ws', 'http');
  if (!/^https?:$/.test(url.protocol)) throw new TypeError(`connect: the hub's URL has the scheme ${url.protocol} want https:, wss: or a path`);
  if (url.search || url.hash || url.username || url.password) {
    throw new TypeError("connect: the hub's URL has a query, a fragment or a password; give tokens by the token option");
  }
  return url.href.replace(/\/+$/, '');
}

class Core {
  handlers = new Handlers();
  status = { phase: 'connecting' };
  user = null;
  sid = '';
  latency = undefined;
  offset = 0;
  link = null; // the one that serves, after its welcome
  rooms = new Map();
  calls = new Map(); // by id, in the order in which they were made
  error = null; // why the client has ended
  wary = false; // a WebSocket with rooms in its URL has not opened

  #opening = null;
  #probe = null; // a link of a better transport
  #level; // of the transports, the one in use
  #proven = new Set(); // transports that have worked
  #failures = 0; // in a row of the one in use
  #unopened = 0; // WebSockets in a row, for a reason that nobody told
  #upgradeDelay;
  #upgradeTimer;
  #delays;
  #notBefore = 0; // the server's advice, on the monotonic clock
  #alarm = null; // ends the nap between attempts
  #asleep = false; // the page is hidden
  #hiddenTimer;
  #out = []; // calls for the link, until the end of the microtask
  #lastId = 0;
  #cids;
  #lastCid = 0;
  #heartbeat = 25_000;
  #pulseTimer;
  #pinged = 0;
  #pings = 0; // without answer
  #bestRtt = Infinity;
  #expiryTimer;
  #directs = []; // ids of the last ones
  #leaving = new AbortController(); // of the handlers on the page

  constructor(mount, { env, onstatus, ...options } = {}) {
    this.env = world(env);
    this.options = { ...DEFAULTS };
    for (const [name, value] of Object.entries(options)) if (value !== undefined) this.options[name] = value;
    const have = { websocket: this.env.WebSocket, sse: this.env.fetch, poll: this.env.fetch };
    this.transports = this.options.transports.filter((kind) => {
      if (!Object.hasOwn(LINKS, kind)) throw new TypeError(`transports: there is no '${kind}'; there are 'websocket', 'sse' and 'poll'`);
      return have[kind];
    });
    if (!this.transports.length) throw new TypeError('transports: this environment has none of them');
    this.mount = mountURL(mount, this.env.document?.baseURI ?? globalThis.location?.href);
    this.#level = Math.max(this.transports.indexOf(this.#remembered()), 0);
    this.#upgradeDelay = this.options.upgradeAfter;
    this.#delays = this.backoff();
    const random = crypto.getRandomValues(new Uint8Array(12));
    this.#cids = [...random].map((b) => (b % 36).toString(36)).join('');
    if (onstatus) this.handlers.on('status', onstatus);
    this.#watchPage();
    this.#run();
  }

  backoff() {
    return new Backoff(this.options.backoffMin, this.options.backoffMax, this.env);
  }

  url(path) {
    const url = `${this.mount}/${path}`;
    return path === 'ws' ? url.replace('http', 'ws') : url;
  }

  cid() {
    return `${this.#cids}-${(++this.#lastCid).toString(36)}`;
  }

  // -------------------------------------------------------------- connections

  /** Keeps a link until the client ends. */
  async #run() {
    await null; // so that the page can add its handlers
    let renewed = !this.options.token; // the token is new already, or there is none
    let error;
    while (!this.error) {
      this.#setStatus({ phase: 'connecting', error });
      const ended = await this.#connect();
      if (this.error) return;
      error = ended.error;
      if (ended.lasted) {
        renewed = !this.options.token;
        this.#delays.reset(ended.lasted);
      }
      const needsToken = error.retry === 'with_token';
      if (error.retry === 'never' || (needsToken && renewed)) return this.shut(error);
      renewed ||= needsToken;
      await this.#rest(error);
    }
  }

  /** Connects, by other transports if need be, and returns how that ended. */
  async #connect() {
    const token = this.#tokenOnce();
    let dropped = null;
    for (;;) {
      let link = (this.#opening = this.#open(this.#level, token));
      let error;
      for (;;) {
        error = await link.ended;
        if (!this.link) break;
        link = this.link; // an upgrade has taken over
      }
      this.#opening = null;
      if (error.code === 'connection_lost') dropped = error;
      const lasted = link.since && Math.max(this.env.now() - link.since, 1);
      if (this.error || !this.#fallsThrough(link, error, lasted)) {
        if (link.kind === 'websocket' && error.code === 'connection_lost' && !link.shaken) error = await this.#inquire(error, token);
        // That a transport is not there is final only if no other might be.
        return { lasted, error: (error.code === 'not_found' && !lasted && dropped) || error };
      }
    }
  }

  /** Looks for the reason why a WebSocket did not open: at the first one, and at every fourth of those that follow. */
  async #inquire(error, token) {
    if (!this.env.fetch || this.#asleep || this.#unopened++ % 4) return error;
    const inquiry = (this.#opening = new Inquiry(this, 'http', token, this.options.answerTimeout));
    inquiry.start();
    const found = await inquiry.ended;
    this.#opening = null;
    if (found.code === 'connection_lost' || found.code === 'token_failed') return error;
    this.#unopened = 0;
    return found;
  }

  /** Decides by which transport to go on. @returns true if at once */
  #fallsThrough(link, error, lasted) {
    const blocked = error.code === 'connection_lost' || (error.code === 'not_found' && !lasted);
    if (!blocked || this.#asleep || (lasted >= STEADY && !error.silent)) {
      this.#failures = 0;
      return false;
    }
    this.#failures++;
    const more = this.#level + 1 < this.transports.length;
    const proven = this.#proven.has(link.kind);
    if (more && (!proven || this.#failures >= PATIENCE)) {
      this.#level++;
      this.#failures = 0;
      return !proven;
    }
    if (!more && !lasted && (!proven || this.#failures >= PATIENCE)) {
      this.#level = Math.max(this.transports.findIndex((kind) => this.#proven.has(kind)), 0);
      this.#failures = 0;
    }
    return false;
  }

  #open(level, token) {
    const kind = this.transports[level];
    const last = level === this.transports.length - 1;
    const link = new LINKS[kind](this, kind, token, last ? this.options.connectTimeout : this.options.fallbackTimeout);
    link.start();
    return link;
  }

  /** A function that asks for a token at its first call only. */
  #tokenOnce() {
    let asked;
    return () => (asked ??= this.#askToken());
  }

  async #askToken() {
    const late = new AbortController();
    const stop = () => late.abort(new ImError('token_failed', 'the token callback gave no token in time'));
    const timer = this.env.setTimeout(stop, this.options.connectTimeout);
    this.#leaving.signal.addEventListener('abort', stop, { signal: late.signal });
    const { signal } = late;
    try {
      const given = new Promise((resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason));
        Promise.resolve(this.options.token({ signal })).then(resolve, reject);
      });
      const token = await given;
      if (typeof token === 'string' && token) return token;
      throw new TypeError('the token callback must return a string');
    } catch (error) {
      throw error instanceof ImError ? error : new ImError('token_failed', 'the token callback failed', { cause: error });
    } finally {
      this.env.clearTimeout(timer);
    }
  }

  /** Waits until it is time for the next attempt. */
  async #rest(error) {
    this.#notBefore = this.env.now() + error.retryAfter;
    if (!this.#asleep) {
      const delay = this.#delays.next(error.retryAfter);
      this.#setStatus({ phase: 'waiting', error, retryAt: this.env.date() + delay });
      await this.#nap(delay);
    }
    const offline = this.env.navigator?.onLine === false;
    if (this.error || !(this.#asleep || offline)) return;
    this.#setStatus({ phase: 'paused', error, cause: this.#asleep ? 'hidden' : 'offline' });
    await this.#nap(this.#asleep ? Infinity : 60_000); // browsers may be wrong about being offline
  }

  #nap(ms) {
    return new Promise((resolve) => {
      let timer;
      const end = () => {
        this.env.clearTimeout(timer);
        this.#alarm = null;
        resolve();
      };
      this.#alarm = (rest) => {
        this.env.clearTimeout(timer);
        if (rest > 0) timer = this.env.setTimeout(end, rest);
        else end();
      };
      if (ms < Infinity) timer = this.env.setTimeout(end, ms);
    });
  }

  /** Goes on at once, or as soon as the server's advice allows. */
  #rouse() {
    this.#asleep = false;
    this.#alarm?.(this.#notBefore - this.env.now());
  }

  /** Makes link, which was just welcomed, the one that serves. */
  #attach(link, welcome) {
    this.#opening = null;
    this.#probe = null; // before the present link ends, and takes its probe with it
    this.link?.fail(lost('replaced by a better transport'));
    this.link = link;
    link.opened = true;
    this.#unopened = 0;
    link.since = this.env.now() || 1;
    link.decide();
    this.#level = this.transports.indexOf(link.kind);
    this.#proven.add(link.kind);
    this.#remember(link.kind);
    this.#welcome(welcome);
    this.#setStatus({ phase: 'online', transport: link.kind });
    for (const r of this.rooms.values()) if (this.link === link) this.join(r, link.joins?.(r, welcome));
    if (this.link !== link) return; // a handler of the page has ended it
    this.#resend(undefined);
    this.#pulse();
    this.#planUpgrade();
  }

  /** Called by links at their end. */
  detach(link) {
    if (this.#probe === link) this.#probe = null;
    if (this.link !== link) return;
    this.link = null;
    this.#probe?.fail(lost('the link below has ended'));
    for (const timer of [this.#pulseTimer, this.#expiryTimer, this.#upgradeTimer]) this.env.clearTimeout(timer);
    this.#pings = 0;
    this.#out = [];
    for (const r of this.rooms.values()) this.#outside(r);
    for (const k of this.calls.values()) {
      if (k.keep) this.#unsend(k);
      else if (k.sent) this.#end(k, null, lost('the connection was lost before the answer'));
    }
  }

  #planUpgrade() {
    this.env.clearTimeout(this.#upgradeTimer);
    if (this.#level === 0 || !(this.#upgradeDelay < Infinity)) return;
    this.#upgradeTimer = this.env.setTimeout(() => this.#upgrade(), this.#upgradeDelay * (0.5 + this.env.random()));
  }

  /** Tries the better transports, while the present one goes on. */
  async #upgrade() {
    const token = this.#tokenOnce();
    const link = this.link;
    this.#upgradeDelay = Math.min(this.#upgradeDelay * 2, 30 * 60_000);
    for (let level = 0; level < this.#level && !this.env.document?.hidden; level++) {
      const probe = (this.#probe = this.#open(level, token));
      await probe.decided;
      if (this.link !== link) return;
    }
    this.#planUpgrade();
  }

  #remembered() {
    try {
      return this.env.storage?.getItem(STORED);
    } catch {
      return null;
    }
  }

  #remember(kind) {
    try {
      if (kind === this.options.transports[0]) this.env.storage?.removeItem(STORED);
      else this.env.storage?.setItem(STORED, kind);
    } catch {
      // full, or forbidden
    }
  }

  #setStatus(status) {
    if (status.error === undefined) delete status.error;
    this.status = status;
    this.handlers.emit('status', status);
  }

  /** Ends the client for good: every request and every room ends with the error. */
  shut(error) {
    if (this.error) return;
    this.error = error;
    this.#leaving.abort();
    this.env.clearTimeout(this.#hiddenTimer);
    for (const r of this.rooms.values()) this.#drop(r, error);
    for (const k of this.calls.values()) this.#end(k, null, error);
    for (const link of [this.#probe, this.#opening, this.link]) link?.fail(error);
    this.#alarm?.();
    this.#setStatus({ phase: 'closed', error });
  }

  // -------------------------------------------------------------- the page

  #watchPage() {
    const { window, document } = this.env;
    const { pauseHiddenAfter, upgradeAfter } = this.options;
    const hide = () => {
      this.env.clearTimeout(this.#hiddenTimer);
      if (!document?.hidden || !(pauseHiddenAfter < Infinity)) return;
      this.#hiddenTimer = this.env.setTimeout(() => this.#doze(hide), pauseHiddenAfter);
    };
    const wake = () => {
      this.#delays.reset();
      this.#rouse();
      if (this.link) this.#pulse(CHECK); // it may be dead since the network changed
    };
    this.stir = () => {
      if (!this.#asleep) return;
      this.#rouse();
      hide();
    };
    const listen = (target, type, fn) => target?.addEventListener?.(type, fn, { signal: this.#leaving.signal });
    listen(document, 'visibilitychange', () => {
      hide();
      if (!document.hidden) wake();
    });
    listen(window, 'online', () => {
      this.#upgradeDelay = upgradeAfter; // another network may let more through
      if (this.link) this.#planUpgrade();
      wake();
    });
    listen(window, 'pagehide', () => this.#sleep()); // an open connection keeps pages out of the back-forward cache
    listen(window, 'pageshow', (e) => e.persisted && wake());
    hide();
  }

  #doze(again) {
    const busy = this.calls.size || [...this.rooms.values()].some((r) => !r.entered);
    if (busy) again();
    else this.#sleep();
  }

  #sleep() {
    this.#asleep = true;
    (this.link ?? this.#opening)?.fail(lost('the page is hidden'));
  }

  /**
   * Asks for a sign of life, and again after a while. Without one the link is
   * taken for dead. What a WebSocket's own pings say, a page cannot see.
   */
  #pulse(patience = this.link.quiet) {
    const { link, env } = this;
    env.clearTimeout(this.#pulseTimer);
    const asked = (this.#pinged = env.now());
    const { heard } = link;
    this.#pings++;
    link.send([PING]);
    const quiet = Math.max(patience, link.implicit ? link.quiet : 0);
    this.#pulseTimer = env.setTimeout(() => {
      if (env.now() - asked > quiet + 5_000) return this.#pulse(); // the page was frozen: ask before judging
      if (link.heard === heard) {
        const error = lost('the server gave no sign of life');
        error.silent = true;
        return link.fail(error);
      }
      const pause = link.pongs > 1 ? (link.implicit ? 4 : 1) * this.#heartbeat - quiet : 0;
      this.#pulseTimer = env.setTimeout(() => this.#pulse(), Math.max(pause, 1000));
    }, quiet);
  }

  #pong(m) {
    this.#pings = Math.max(this.#pings - 1, 0);
    if (this.#pings) return; // it answers an older ping
    const rtt = this.env.now() - this.#pinged;
    // The first answer of a link comes while the page is busy with its beginning. It counts if there is nothing better, and
    // until the second one; from there on the estimate is smoothed as in RFC 6298.
    const n = ++this.link.pongs;
    if (n === 2 || this.latency === undefined) this.latency = rtt;
    else if (n > 2) this.latency += (rtt - this.latency) / 8;
    // The shortest way tells the time best; it grows old.
    this.#bestRtt = Math.min(this.#bestRtt * 1.1, Number.MAX_VALUE);
    if (m.at && rtt <= this.#bestRtt) {
      this.#bestRtt = rtt;
      this.offset = m.at + rtt / 2 - this.env.date();
    }
  }

  // -------------------------------------------------------------- requests

  /** Those of the calls that still wait for an answer. */
  live(calls) {
    return calls.filter((k) => k === PING || this.calls.get(k.id) === k);
  }

  /** Gives the call its id, and sends it as soon as that is possible. */
  #begin(k) {
    if (this.error) throw this.error;
    if (k.room?.error) throw k.room.error;
    k.id = ++this.#lastId;
    k.req.id = k.id;
    k.text = JSON.stringify(k.req);
    k.size = bytes(k.text);
    if (k.size > MAX_BYTES) throw new ImError('too_large', `${k.req.op} takes ${k.size} bytes; send at most ${MAX_BYTES}`);
    this.calls.set(k.id, k);
    this.stir();
    if (this.link && (!k.room || k.room.in)) this.#enqueue(k);
  }

  #enqueue(k) {
    k.sent = true;
    const { link } = this;
    const { heard } = link;
    k.timer = this.env.setTimeout(() => this.#late(k, link, heard), this.options.answerTimeout);
    if (k.asked) return;
    if (!this.#out.length) queueMicrotask(() => this.#flush());
    this.#out.push(k);
  }

  /**
   * Has had no answer in time. If the link was silent as well it may be dead, which is found out first: what is kept then
   * goes out again over the next one, in its order. POSTs look after that themselves.
   */
  #late(k, link, heard) {
    if (!k.keep || link.heard !== heard) return this.#end(k, null, new ImError('timeout', 'no answer in time'));
    if (!link.implicit && link.doubted !== heard) this.#pulse(CHECK);
    link.doubted = heard;
    k.timer = this.env.setTimeout(() => this.#late(k, link, NaN), link.implicit ? 500 : CHECK + 500);
  }

  #flush() {
    const calls = this.live(this.#out);
    this.#out = [];
    if (calls.length) this.link?.send(calls);
  }

  #unsend(k) {
    k.sent = false;
    this.env.clearTimeout(k.timer);
  }

  /** Takes the call out and tells its answer, unless that has happened before. */
  #end(k, m, error) {
    if (!this.#forget(k)) return;
    k.done(m, error);
  }

  #forget(k) {
    if (!k || this.calls.get(k.id) !== k) return false;
    this.calls.delete(k.id);
    this.#unsend(k);
    return true;
  }

  /** Sends the calls that wait for the room, or with undefined for nothing but a link. */
  #resend(room) {
    for (const k of this.calls.values()) if (this.link && k.room === room && !k.sent) this.#enqueue(k);
  }

  /** Makes a request. @param {{room?: Membership, keep?: boolean, signal?: AbortSignal}} how */
  ask(req, { room, keep, signal } = {}) {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const abort = () => this.#forget(k) && reject(signal.reason);
      const k = {
        req,
        room,
        keep,
        done: (m, error) => {
          signal?.removeEventListener('abort', abort);
          if (error) reject(error);
          else resolve(m);
        },
      };
      this.#begin(k);
      signal?.addEventListener('abort', abort, { once: true });
    });
  }

  /** Makes a request with a cid, again and again under it until its fate is known: also if the server that was asked goes away. */
  async once(req, { room, cid = this.cid(), signal }) {
    const retry = this.backoff();
    for (;;) {
      let advice = 0;
      try {
        const { status, event, body, reason } = await this.ask({ ...req, cid }, { room, keep: true, signal });
        if (status !== 'unknown') return { status, event, cid, body, ...(reason && { reason }) };
      } catch (error) {
        if (!(error instanceof ImError) || this.error || !['timeout', 'shutdown'].includes(error.code)) {
          if (!(error instanceof ImError)) throw error;
          const { code, reason, retryAfter, cause } = error;
          throw new ImError(code, reason, { retryAfter, cid, cause });
        }
        advice = error.retryAfter;
      }
      await this.#pauseFor(retry.next(advice), signal);
    }
  }

  #pauseFor(ms, signal) {
    return new Promise((resolve, reject) => {
      const stop = () => {
        this.env.clearTimeout(timer);
        for (const s of signals) s.removeEventListener('abort', stop);
        if (signal?.aborted) reject(signal.reason);
        else resolve();
      };
      const signals = [this.#leaving.signal, ...(signal ? [signal] : [])];
      const timer = this.env.setTimeout(stop, ms);
      for (const s of signals) s.addEventListener('abort', stop);
      if (signals.some((s) => s.aborted)) stop();
    });
  }

  // -------------------------------------------------------------- rooms

  /** The rooms to be in: all but those that are to be joined again later. */
  wanted() {
    return [...this.rooms.values()].filter((r) => r.timer === undefined);
  }

  async enter(name, { since = null, tier, signal } = {}) {
    signal?.throwIfAborted();
    name = String(name);
    if (this.error) throw this.error;
    if (this.rooms.has(name)) throw new ImError('conflict', 'the client is in this room already');
    const r = new Membership(this, name, since && position(since.epoch, since.seq), tier);
    this.rooms.set(name, r);
    this.stir();
    if (this.link) this.join(r);
    await this.entered(r, signal, (error) => this.#withdraw(r, error));
    return r;
  }

  /** Waits for the outcome of the join of the room. */
  entered(r, signal, failed) {
    return new Promise((resolve, reject) => {
      const abort = () => done(signal.reason);
      const done = (error) => {
        signal?.removeEventListener('abort', abort);
        r.waiters = r.waiters.filter((w) => w !== done);
        if (!error) return resolve();
        failed?.(error);
        reject(error);
      };
      r.waiters.push(done);
      signal?.addEventListener('abort', abort);
    });
  }

  /** Asks to enter the room over the link, from where it was, unless the link has asked by its URL. */
  join(r, asked) {
    this.#outside(r, r.in);
    const req = { op: 'join', room: r.name, since: r.pos ?? undefined, tier: r.tier };
    const k = (r.joining = { req, asked, done: (m, error) => this.#joined(r, k, error) });
    try {
      this.#begin(k);
    } catch (error) {
      this.#drop(r, error);
    }
  }

  #joined(r, k, error) {
    if (r.joining !== k) return;
    r.joining = null;
    if (!error) {
      r.retry.reset();
      r.outcome();
    } else if (r.entered) {
      this.#putOut(r, error);
    } else {
      this.#drop(r, error);
    }
  }

  /** Takes the room out for the server's reason, and comes back later if the reason allows. */
  #putOut(r, error) {
    if (error.retry === 'never') {
      r.show('left', error);
      return this.#drop(r, error);
    }
    this.#outside(r);
    r.timer = this.env.setTimeout(() => {
      r.timer = undefined;
      if (this.link) this.join(r);
    }, r.retry.next(error.retryAfter));
  }

  /** Notes that the room is not joined, or no join is under way any more. */
  #outside(r, still = false) {
    r.in = still;
    this.#forget(r.joining);
    r.joining = null;
    this.env.clearTimeout(r.timer);
    r.timer = undefined;
  }

  /** Forgets the room for good: its methods fail with the error. */
  #drop(r, error) {
    if (r.error) return;
    r.release();
    r.error = error;
    this.#outside(r);
    if (this.rooms.get(r.name) === r) this.rooms.delete(r.name);
    r.outcome(error);
    for (const k of this.calls.values()) if (k.room === r) this.#end(k, null, error);
  }

  /** Gives up a join. The server may have let the client in meanwhile. */
  #withdraw(r, error) {
    const asked = r.in || r.joining || error.code === 'timeout';
    this.#drop(r, error instanceof ImError ? error : new ImError('left', 'the join was given up'));
    if (asked) this.#leave(r);
  }

  #leave(r) {
    if (!this.link || this.rooms.has(r.name)) return null;
    return this.ask({ op: 'leave', room: r.name }).catch(() => {}); // the server notices it later, at the latest
  }

  async leave(r) {
    const asked = r.in || r.joining;
    this.#drop(r, new ImError('left', 'the room was left'));
    if (asked) await this.#leave(r);
  }

  async retier(r, tier, signal) {
    signal?.throwIfAborted();
    if (r.error) throw r.error;
    const old = r.tier;
    r.tier = tier;
    if (r.in && !r.joining && !this.link.implicit) {
      await this.ask({ op: 'tier', room: r.name, tier: tier ?? 'full' }, { room: r, signal }).catch((error) => {
        if (['connection_lost', 'not_joined'].includes(error.code)) return; // the next join brings it
        if (error instanceof ImError) r.tier = old;
        throw error;
      });
      return;
    }
    if (this.link && r.timer === undefined) this.join(r);
    await this.entered(r, signal);
  }

  // -------------------------------------------------------------- what the server says

  receive(link, messages) {
    for (const m of messages) {
      if (link.dead) return;
      if (link === this.link) this.#dispatch(link, m);
      else if (m.op === 'welcome') this.#attach(link, m);
      else if (m.op === 'bye') link.fail(refusal(m, 'shutdown'));
      else if (m.op === 'error') link.fail(refusal(m, 'internal'));
    }
  }

  #dispatch(link, m) {
    const r = this.rooms.get(m.room);
    const answersJoin = r?.joining && (m.id ? m.id === r.joining.id : link.implicit || r.joining.asked);
    switch (m.op) {
      case 'events':
      case 'gap':
      case 'tier':
      case 'reset':
      case 'online':
      case 'fate':
      case 'held':
        if (r?.in) this.#fold(r, m);
        return;
      case 'joined':
        if (r?.in || answersJoin) {
          const k = answersJoin ? r.joining : this.calls.get(m.id);
          r.in = true;
          r.enter(m, link.implicit && !answersJoin); // another room has opened the stream anew
          if (!r.entered) this.env.setTimeout(() => r.release(), 0);
          r.entered = true;
          this.#resend(r);
          if (k) this.#end(k, m);
        } else if (!m.id && !link.implicit) {
          this.#leave({ name: m.room }); // it was left while its handshake was under way
        }
        return;
      case 'left':
        if (m.id) this.#answer(m);
        else if (link.implicit && !m.code && r) this.join(r); // a request from before the join has overtaken the one with it
        else if (answersJoin) this.#end(r.joining, null, refusal(m, 'kicked'));
        else if (r?.in) this.#putOut(r, refusal(m, 'kicked'));
        return;
      case 'welcome':
        this.#welcome(m);
        return this.#answer(m);
      case 'error':
        return this.#refuse(link, m);
      case 'pong':
        return m.id ? this.#answer(m) : this.#pong(m);
      case 'direct':
        if (m.event && this.#directs.includes(m.event)) return; // it came over two links at an upgrade
        this.#directs = [...this.#directs.slice(-31), m.event];
        return this.handlers.emit('direct', m);
      case 'bye':
        return link.fail(refusal(m, 'shutdown'));
      default:
        this.#answer(m); // ack, history
    }
  }

  #answer(m) {
    const k = this.calls.get(m.id);
    if (k) this.#end(k, m);
  }

  /** A refusal. If it says that the identity has expired, and a new one can be had, the call goes on over the next link. */
  #refuse(link, m) {
    const error = refusal(m, 'internal');
    const renew = error.code === 'expired' && this.options.token;
    const k = this.calls.get(m.id);
    if (!k) return renew && !m.id ? link.fail(error) : undefined;
    if (!renew || !k.keep || k.restarted) return this.#end(k, null, error);
    k.restarted = true;
    link.fail(error);
  }

  #welcome(m) {
    this.user = m.user ?? this.user;
    this.sid = m.sid ?? this.sid;
    if (m.heartbeat_ms > 0) this.#heartbeat = m.heartbeat_ms;
    if (m.expires_ms > 0) this.#planRefresh(m.expires_ms * (0.75 + 0.1 * this.env.random()));
  }

  #planRefresh(ms) {
    this.env.clearTimeout(this.#expiryTimer);
    if (!this.options.token || ms > MAX_DELAY) return;
    const retry = this.backoff();
    const refresh = () => {
      const link = this.link;
      this.refresh().catch(() => {
        // The old token is good for a while. If it ends, the server says so.
        if (this.link === link && link) this.#expiryTimer = this.env.setTimeout(refresh, 1000 + retry.next());
      });
    };
    this.#expiryTimer = this.env.setTimeout(refresh, ms);
  }

  async refresh() {
    if (this.error) throw this.error;
    if (!this.options.token) throw new TypeError('refresh needs the token option');
    const token = await this.#askToken();
    if (!this.link) return; // the next link asks for itself
    if (this.link.renew) this.link.renew(token);
    else await this.ask({ op: 'refresh', token });
  }

  #fold(r, m) {
    if (m.op === 'online') {
      r.online = m.count;
      r.told = m.told ?? r.told;
      return r.show('online', m.joined ? { count: m.count, joined: m.joined } : { count: m.count });
    }
    if (m.op === 'fate') {
      const error = m.code || m.status === 'refused' ? refusal(m, 'forbidden') : undefined;
      return r.show('fate', { cid: m.cid, status: m.status, event: m.event, error });
    }
    if (m.op === 'held') {
      return r.show('held', { id: m.held?.id ?? m.event, event: m.held, wait: m.until_ms ?? 0, status: m.status });
    }
    if (m.op === 'reset') return r.enter(m);
    // A gap need not say what it follows: one that comes while lost events are
    // being fetched must not carry the position over them.
    const whole = m.op === 'events' ? r.events(m) : r.joining || (m.op === 'gap' ? r.gap(m) : r.retiered(m));
    if (!whole && !r.joining) this.join(r);
  }
}

// ---------------------------------------------------------------- what a page sees

/** The state that all in a room share: values by key, each with a version. */
class State {
  #r;

  constructor(r) {
    this.#r = r;
  }

  /** The value of the key, or undefined. */
  get(key) {
    return this.#r.state.get(key)?.value;
  }

  /** The version of the key for `if`; 0 if it is not there. */
  version(key) {
    return this.#r.state.get(key)?.version ?? 0;
  }

  /** {value, version, until?, owner?} of the key, or undefined. */
  cell(key) {
    const cell = this.#r.state.get(key);
    return cell && { ...cell };
  }

  /** The keys and their values at this moment. */
  entries() {
    return new Map([...this.#r.state].map(([key, cell]) => [key, cell.value])).entries();
  }

  /** The same as an object. */
  all() {
    return Object.fromEntries(this.entries());
  }

  /** Sets the key, if it has the version `if` where that is given (0: if it is not there). Resolves with the new version. */
  async set(key, value, options) {
    if (value === undefined) throw new TypeError('state.set: the value is undefined; use state.delete, or null');
    return (await this.#change('set', { key, value }, options))?.version ?? 0;
  }

  /** Adds to a whole number, within min and max; a key that is not there counts as 0. Resolves with {value, version}. */
  async add(key, add, { min, max, ...options } = {}) {
    return this.#change('add', { key, add, min, max }, options);
  }

  /** Removes the key. */
  async delete(key, options) {
    await this.#change('set', { key, delete: true }, options);
  }

  /** Calls fn(value, version, key) at each change of the key, or with 'seat.*' of all that begin so; undefined and 0 when it is removed. Returns a function that ends it. */
  on(key, fn, options) {
    const { keys, handlers } = this.#r;
    if (!key.endsWith('*')) return keys.on(key, (value, version) => fn(value, version, key), options);
    const prefix = key.slice(0, -1);
    return handlers.on('state', (e) => e.key.startsWith(prefix) && fn(e.value, e.version, e.key), options);
  }

  async #change(op, body, { if: version, ttl, owner, cid, signal } = {}) {
    const r = this.#r;
    const more = { if: version, ttl_ms: ttl, owner: owner || undefined };
    return (await r.core.once({ op: `state.${op}`, room: r.name, body: { ...body, ...more } }, { room: r, cid, signal })).body;
  }
}

/** A room that the client is in, from `client.join` to `leave`, or until the server puts it out. */
class Room {
  #r;
  state;

  constructor(r) {
    this.#r = r;
    this.state = new State(r);
  }

  get name() {
    return this.#r.name;
  }

  /** How many are in the room, as the server said last. */
  get online() {
    return this.#r.online;
  }

  /** What the room was told last, by kind, that is of interest now and not later. */
  get told() {
    return this.#r.told;
  }

  /** Behind what the page has seen: `{epoch, seq}` for `since` of a later join, or null before the first reset is complete. */
  get position() {
    return this.#r.seen;
  }

  /** Why this is over; null while it is not. */
  get error() {
    return this.#r.error;
  }

  get tier() {
    return this.#r.tier ?? 'full';
  }

  /** Adds a handler; returns a function that takes it away again. */
  on(type, fn, options) {
    return this.#r.handlers.on(type, fn, options);
  }

  /** Sends an event; resolves with its fate: {status, event, cid}. Survives reconnects with one effect. */
  async send(kind, body, { cid, signal } = {}) {
    const r = this.#r;
    return r.core.once({ op: 'send', room: r.name, kind, body }, { room: r, cid, signal });
  }

  /** The modes that are in force, by their names on the wire: {slow_ms, only, emoji, …}, {} for none. */
  get modes() {
    const r = this.#r;
    const modes = r.state.get('im.modes')?.value ?? {};
    return modes.until && modes.until <= r.core.env.date() + r.core.offset ? {} : modes;
  }

  /** Replaces the modes; {} for none. Resolves with their version. */
  async setModes(modes, { if: version, cid, signal } = {}) {
    const r = this.#r;
    const body = { ...modes, if: version };
    return (await r.core.once({ op: 'modes.set', room: r.name, body }, { room: r, cid, signal })).body?.version ?? 0;
  }

  /** Lets a held message be shown, or drops it for a reason that its sender is told. */
  async decide(event, pass, { reason, cid, signal } = {}) {
    const r = this.#r;
    const op = pass ? 'held.pass' : 'held.drop';
    await r.core.once({ op, room: r.name, body: { event, reason } }, { room: r, cid, signal });
  }

  /** A page of the room's log: {epoch, events, more, next, missed}. */
  async history({ after, before, from, to, kinds, max, newest, signal } = {}) {
    const r = this.#r;
    const ms = (time) => (time == null ? undefined : Math.ceil(+time)); // events are stamped in whole ones, and `to` is exclusive
    const req = { op: 'history', room: r.name, after: after ?? undefined, before: before ?? undefined, from: ms(from), to: ms(to), kinds, max, newest };
    const gone = []; // meanwhile
    const off = this.on('removed', ({ has }) => gone.push(has));
    const { epoch, events: all = [], more = false, next = all.at(newest ? 0 : -1)?.seq, missed = 0 } = await r.core.ask(req, { room: r, keep: true, signal }).finally(off);
    const events = all.filter((e) => !gone.some((has) => has(e)));
    return { epoch, events, more: more && next > 0, next: more && next > 0 ? { epoch, seq: next } : null, missed };
  }

  /** All pages of a query, one after the other; empty ones are left out. */
  async *pages(query = {}) {
    for (let page = { more: true, next: null }; page.more; ) {
      const on = page.next && { [query.newest ? 'before' : 'after']: page.next };
      page = await this.history({ ...query, ...on });
      if (page.events.length) yield page;
    }
  }

  /** Plays a range of the log back by the clock of a player; see im.d.ts. */
  replay(options) {
    return new Replay(this, this.#r.core.env, options);
  }

  /** Changes which events come: 'full', 'reduced' or 'critical'. */
  async setTier(tier, { signal } = {}) {
    return this.#r.core.retier(this.#r, tier, signal);
  }

  /** Leaves. The room is over at once; the promise tells that the server knows, and never rejects. */
  async leave() {
    return this.#r.core.leave(this.#r);
  }
}

const REPLAY = { ahead: 30_000, late: 3_000, leap: 5_000, page: 200, pause: 2_000 }; // ms, but for the page

/** Plays a range of a room's log back by the clock of a player. Made by room.replay; see im.d.ts. */
class Replay {
  #room;
  #env;
  #query;
  #handlers = new Handlers();
  #ended = new AbortController();
  #at = 0; // the player's clock, in ms from the start; up to it all is shown
  #begin = 0; // where reading began
  #events = []; // read and not shown yet
  #next; // where reading goes on
  #more = true; // there is something to read
  #run = 0; // counts seeks: what was asked for before one is of no use
  #busy = false;
  #rest = 0; // until then nothing is asked for, after an error

  constructor(room, env, { from, to, start, kinds = ['danmaku'], signal } = {}) {
    Object.assign(this, { start: start ?? from ?? null });
    if (this.start !== null) this.start = +this.start;
    this.#room = room;
    this.#env = env;
    this.#query = { from: from ?? start, to, kinds, max: REPLAY.page, signal: this.#ended.signal };
    signal?.addEventListener('abort', () => this.close(), { once: true });
    room.on('removed', ({ has }) => (this.#events = this.#events.filter((e) => !has(e))), { signal: this.#ended.signal });
    this.#load();
  }

  on(type, fn, options) {
    return this.#handlers.on(type, fn, options);
  }

  /** The player is at so many seconds: shows what has come due. A leap, back or far ahead, is a seek. */
  time(seconds) {
    const at = seconds * 1000;
    if (!(at >= this.#at && at <= this.#at + REPLAY.leap)) return this.seek(seconds);
    this.#at = at;
    this.#show();
  }

  /** The player has gone to another place: goes on from there, without what lies between. */
  seek(seconds) {
    this.#at = this.#begin = Math.max(seconds * 1000 || 0, 0);
    this.#run++;
    this.#events = [];
    this.#next = undefined;
    this.#more = true;
    this.#busy = false;
    this.#handlers.emit('seek', { time: this.#at / 1000 });
    this.#show();
  }

  /** Follows a <video>, or what has its currentTime and events. Returns a function that ends it. */
  attach(player) {
    const detached = new AbortController();
    const { signal } = detached;
    const { requestAnimationFrame: onFrame } = globalThis;
    const follow = () => this.time(player.currentTime);
    const frame = () => {
      if (signal.aborted || this.#ended.signal.aborted) return;
      if (!player.seeking) follow();
      onFrame(frame);
    };
    player.addEventListener('timeupdate', follow, { signal }); // frames do not come in the background
    player.addEventListener('seeking', () => this.seek(player.currentTime), { signal });
    follow();
    if (onFrame) onFrame(frame);
    this.#ended.signal.addEventListener('abort', () => detached.abort(), { once: true });
    return () => detached.abort();
  }

  close() {
    this.#run++;
    this.#more = false;
    this.#events = [];
    this.#ended.abort();
  }

  #show() {
    while (this.#events.length && this.#events[0].at - this.start <= this.#at) {
      const e = this.#events.shift();
      const late = this.#at - (e.at - this.start);
      if (late <= REPLAY.late) this.#handlers.emit('event', e);
    }
    const last = this.#events.at(-1);
    if (!last || last.at - this.start < this.#at + REPLAY.ahead) this.#load();
  }

  async #load() {
    if (this.#busy || !this.#more || this.#env.now() < this.#rest) return;
    const run = this.#run;
    this.#busy = true;
    const from = this.#begin > 0 && this.start !== null ? this.start + this.#begin : this.#query.from;
    try {
      const { events, more, next } = await this.#room.history({ ...this.#query, from, after: this.#next });
      if (run !== this.#run) return;
      this.#next = next;
      this.#more = more;
      this.start ??= events[0]?.at ?? null;
      this.#events.push(...events);
    } catch (error) {
      if (run !== this.#run) return;
      this.#rest = this.#env.now() + Math.max(error.retryAfter ?? 0, REPLAY.pause);
      if (error.retry === 'never') this.#more = false;
      this.#handlers.emit('error', error);
    }
    this.#busy = false;
    this.#show();
  }
}

/** The connection of a page to a hub, kept up over disconnects. Made by connect. */
class Client {
  #core;

  constructor(core) {
    this.#core = core;
  }

  /** {phase, transport?, error?, retryAt?, cause?} */
  get status() {
    return this.#core.status;
  }

  /** {id, name, roles} as the server says, or null before its first welcome. */
  get user() {
    return this.#core.user;
  }

  /** The way to the server and back in milliseconds, smoothed; undefined before it is known. */
  get latency() {
    return this.#core.latency;
  }

  /** The server's clock: milliseconds since 1970, comparable with an event's `at`. */
  now() {
    return this.#core.env.date() + this.#core.offset;
  }

  /** Adds a handler of 'status' or 'direct'; returns a function that takes it away again. */
  on(type, fn, options) {
    return this.#core.handlers.on(type, fn, options);
  }

  /** Enters a room; resolves once the server has let the client in. What it then shows comes after the handlers were added. */
  async join(room, options) {
    return new Room(await this.#core.enter(room, options));
  }

  /** Asks for an operation of the host, about a room or null; resolves with {status, event, cid, body}. */
  async call(op, room, body, { cid, signal } = {}) {
    const name = room == null ? undefined : String(room);
    const r = this.#core.rooms.get(name);
    return this.#core.once({ op, room: name, body }, { room: r, cid, signal });
  }

  /** Hands the server a new token, for example after a change of roles. Happens by itself before the old one expires. */
  async refresh() {
    return this.#core.refresh();
  }

  /** Ends the client and its connection at once. What waits fails with the code 'closed'. */
  close() {
    this.#core.shut(new ImError('closed', 'the client was closed'));
  }
}

/**
 * Connects to a hub. Returns at once; the client connects in the background, and again after disconnects.
 * @param {string | URL} mount where the hub is mounted, relative to the page, such as '/im'
 * @param {object} [options] see im.d.ts
 */
export function connect(mount, options) {
  return new Client(new Core(mount, options));
}

/** For the tests of this file only. */
export const internals = { Backoff, eventStream };
