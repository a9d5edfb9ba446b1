// A world for the client that a test moves by hand: a clock, and a server that
// it reaches by WebSocket and HTTP.

import { connect } from '../im.js';

/** Lets promises and streams come to rest. */
export async function settle() {
  for (let i = 0; i < 4; i++) await new Promise(setImmediate);
}

export class Clock {
  time = 1_000_000;
  #timers = new Map();
  #last = 0;

  now = () => this.time;
  setTimeout = (fn, ms) => {
    this.#timers.set(++this.#last, { at: this.time + Math.max(ms, 0), fn });
    return this.#last;
  };
  clearTimeout = (id) => this.#timers.delete(id);

  /** How many timers run. */
  get size() {
    return this.#timers.size;
  }

  #next() {
    return [...this.#timers].reduce((a, b) => (a && a[1].at <= b[1].at ? a : b), undefined);
  }

  /** Runs what is due in so many milliseconds. */
  async advance(ms) {
    const end = this.time + ms;
    await settle();
    for (let next; (next = this.#next()) && next[1].at <= end; ) {
      this.time = Math.max(this.time, next[1].at);
      this.#timers.delete(next[0]);
      next[1].fn();
      await settle();
    }
    this.time = end;
  }

  /** Lets time go by, at most so much, until the condition holds. */
  async until(condition, ms = 60_000) {
    const end = this.time + ms;
    await settle();
    while (!condition()) {
      const next = this.#next();
      if (!next || next[1].at > end) return false;
      await this.advance(Math.max(next[1].at - this.time, 0));
    }
    return true;
  }

  /** Time in which nothing could run: the machine was asleep. */
  skip(ms) {
    this.time += ms;
  }
}

/** One WebSocket connection, seen from the server. */
export class Peer {
  requests = [];
  pings = 0;

  constructor(socket, url, protocol) {
    Object.assign(this, { socket, url, protocol });
  }

  open() {
    this.socket.readyState = 1;
    this.socket.onopen?.({});
  }

  say(...messages) {
    for (const m of messages) this.socket.onmessage?.({ data: typeof m === 'string' ? m : JSON.stringify(m) });
  }

  close(code = 1006, reason = '') {
    this.socket.readyState = 3;
    this.socket.onclose?.({ code, reason });
  }

  /** Takes what the client sent, without its pings. */
  take() {
    return this.requests.splice(0);
  }
}

/** A server. open(peer), if set, is called for each connection; http(request), if set, answers each request. */
export class Server {
  peers = [];
  requests = [];
  /** What a new connection finds: by default it is accepted and waits for the test. */
  open = (peer) => peer.open();
  http = () => Promise.reject(new TypeError('fetch failed'));

  WebSocket = (() => {
    const server = this;
    return class {
      readyState = 0;
      constructor(url, protocol) {
        this.peer = new Peer(this, url, protocol);
        server.peers.push(this.peer);
        queueMicrotask(() => this.readyState === 0 && server.open(this.peer));
      }
      send(text) {
        if (this.readyState !== 1) return;
        const sent = JSON.parse(text);
        for (const q of [sent].flat()) {
          if (q.op === 'ping' && !q.id) {
            this.peer.pings++;
            this.peer.onping?.();
          } else {
            this.peer.requests.push(q);
          }
        }
        this.peer.messages = [...(this.peer.messages ?? []), text];
      }
      close() {
        this.readyState = 3;
        this.peer.closed = true;
      }
    };
  })();

  fetch = async (url, init) => {
    const { pathname, searchParams } = new URL(url);
    const request = { url, path: pathname.split('/').at(-1), query: searchParams, ...init };
    if (init.body) request.calls = [JSON.parse(init.body)].flat();
    this.requests.push(request);
    const aborted = new Promise((_, reject) => init.signal.addEventListener('abort', () => reject(init.signal.reason)));
    aborted.catch(() => {});
    init.signal.throwIfAborted();
    return Promise.race([this.http(request), aborted]);
  };

  /** The newest connection. */
  get peer() {
    return this.peers.at(-1);
  }
}

export const json = (body, status = 200, headers = {}) =>
  new Response(JSON.stringify(body), { status, headers: { 'Content-Type': 'application/json', ...headers } });

/** A server-sent stream that a test writes. */
export class Stream {
  constructor(request) {
    const encoder = new TextEncoder();
    const body = new ReadableStream({ start: (controller) => (this.controller = controller) });
    this.write = (text) => this.controller.enqueue(encoder.encode(text));
    this.response = new Response(body, { headers: { 'Content-Type': 'text/event-stream' } });
    this.request = request;
    this.aborted = false;
    request.signal.addEventListener('abort', () => {
      if (!this.aborted) this.controller.error(request.signal.reason);
      this.aborted = true;
    });
  }

  say(...messages) {
    for (const m of messages) this.aborted || this.write(`data: ${typeof m === 'string' ? m : JSON.stringify(m)}\n\n`);
  }

  cut() {
    if (this.aborted) return;
    this.aborted = true;
    this.controller.error(new TypeError('network error'));
  }
}

export const WELCOME = { op: 'welcome', sid: 's1', user: { id: 'u1', name: 'Ann', roles: [] }, heartbeat_ms: 25_000, protocol: 1 };

/** Answers whatever a hub with one quiet room would. */
export const joined = (q, more) => ({
  op: 'joined', id: q.id, room: q.room, epoch: 'e1', seq: q.since?.seq ?? 100, recovered: !!q.since, missed: 0, state: {}, online: 1, events: [], ...more,
});

/** A page whose visibility and network a test sets. */
export class Page {
  window = new EventTarget();
  document = Object.assign(new EventTarget(), { hidden: false, baseURI: 'https://example.org/show/42' });
  navigator = { onLine: true };

  hide(hidden = true) {
    this.document.hidden = hidden;
    this.document.dispatchEvent(new Event('visibilitychange'));
  }

  online(onLine = true) {
    this.navigator.onLine = onLine;
    this.window.dispatchEvent(new Event(onLine ? 'online' : 'offline'));
  }
}

/** A client in a world of its own. */
export function start(options = {}) {
  const clock = options.clock ?? new Clock();
  const server = options.server ?? new Server();
  const page = new Page();
  const statuses = [];
  const storage = new Map();
  const client = connect(options.mount ?? '/im', {
    transports: ['websocket'],
    onstatus: (s) => statuses.push(s),
    ...options,
    server: undefined,
    clock: undefined,
    env: {
      WebSocket: server.WebSocket,
      fetch: server.fetch,
      setTimeout: clock.setTimeout,
      clearTimeout: clock.clearTimeout,
      now: clock.now,
      date: clock.now,
      random: () => 0.5,
      storage: { getItem: (k) => storage.get(k) ?? null, setItem: (k, v) => storage.set(k, v), removeItem: (k) => storage.delete(k) },
      ...page,
      ...options.env,
    },
  });
  return { client, clock, server, page, statuses, storage };
}

/** A client over WebSocket that has been welcomed, and whose pings are answered. */
export async function online(options) {
  const t = start(options);
  await settle();
  const { peer } = t.server;
  peer.onping = () => peer.say({ op: 'pong', at: t.clock.time });
  t.server.peer.say(WELCOME);
  await settle();
  return t;
}

/** Joins a room at e1.100, and shows what it shows. */
export async function enter(t, name = '42', options = {}, more = {}) {
  const waiting = t.client.join(name, options);
  await settle();
  const [q] = t.server.peer.take();
  t.server.peer.say(joined(q, more));
  const room = await waiting;
  const seen = watch(room);
  await t.clock.advance(0);
  return { room, seen, q };
}

/** Everything that a room shows, as [type, what]. */
export function watch(room) {
  const seen = [];
  for (const type of ['reset', 'resumed', 'event', 'removed', 'gap', 'tier', 'online', 'fate', 'held', 'left', 'state']) {
    room.on(type, (e) => seen.push([type, e]));
  }
  return seen;
}

/** A promise whose outcome a test looks at later. */
export function outcome(promise) {
  const o = { promise };
  promise.then(
    (value) => Object.assign(o, { done: true, value }),
    (error) => Object.assign(o, { done: true, error }),
  );
  return o;
}

/** Numbers in [0, 1) from a seed (mulberry32). */
export function seeded(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
