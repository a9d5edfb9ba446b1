// What plays the server of a transcript, one for each transport. To the replay
// all look alike: asked() is what the client has asked, say() is what the
// server says, and cut, close and refuse break things off.

import { Server, Stream, json } from './fakes.mjs';

export class SocketHub extends Server {
  transport = 'websocket';
  #refused = 0;

  open = (peer) => {
    if (this.#refused) {
      this.#refused = 0;
      peer.close(); // all that a page is told of a refused handshake
    } else {
      this.current = peer;
      peer.open();
    }
  };

  asked = () => this.current?.requests ?? [];
  say = (m) => this.current.say(m);
  cut = () => this.#end(1006);
  close = (code) => this.#end(code);
  refuse = (status) => (this.#refused = status);

  #end(code) {
    const peer = this.current;
    this.current = null;
    peer.close(code);
  }
}

const STATUS = { bad_request: 400, forbidden: 403, conflict: 409, rate_limited: 429, overloaded: 503 };
const CLOSES = { 4419: 'expired', 4430: 'kicked', 1012: 'shutdown' };

/** Server-sent events or long-poll, with POST. It turns URLs into the joins and leaves that they stand for. */
export class HttpHub extends Server {
  #refused = 0;
  #stands = false; // a connection, in the sense of the transcript
  #asked = [];
  #rooms = new Map(); // that the client is in: where it is told to be
  #posts = [];
  #stream = null;
  #polls = [];
  #inbox = []; // for the next poll
  #welcome = null;

  constructor(transport) {
    super();
    this.transport = transport;
  }

  http = async (request) => {
    if (request.path === 'send') return this.#post(request);
    if (this.#refused) {
      const status = this.#refused;
      this.#refused = 0;
      return new Response('', { status });
    }
    if (request.path !== this.transport) return new Response('', { status: 404 });
    return this.#get(request);
  };

  asked = () => this.#asked;
  refuse = (status) => (this.#refused = status);

  #post(request) {
    return new Promise((resolve, reject) => {
      const asked = request.calls.filter((q) => q.op !== 'ping');
      if (!asked.length) return resolve(json([{ op: 'pong' }]));
      this.#asked.push(...asked);
      this.#posts.push({ ids: asked.map((q) => q.id), answers: [], resolve, reject });
    });
  }

  #get(request) {
    const begins = !this.#stands;
    const fresh = !request.query.get('sid') || this.transport === 'sse';
    this.#stands = true;
    const token = request.headers.Authorization?.replace('Bearer ', '');
    if (begins && token) this.#asked.push({ op: 'hello', token });
    if (begins) this.#rooms.clear();
    const send = this.#answer(request);
    if (!begins && fresh) this.#out(this.#welcome);
    this.#enterRooms(request.query, fresh);
    return send;
  }

  #answer(request) {
    if (this.transport === 'sse') {
      this.#stream = new Stream(request);
      return this.#stream.response;
    }
    for (const p of this.#polls.splice(0)) p.resolve(json([]));
    return new Promise((resolve, reject) => {
      this.#polls.push({ resolve, reject });
      this.#flush();
    });
  }

  #enterRooms(query, fresh) {
    const names = query.getAll('room');
    for (const name of this.#rooms.keys()) {
      if (names.includes(name)) continue;
      this.#rooms.delete(name);
      this.#asked.push({ op: 'leave', room: name });
    }
    names.forEach((room, i) => {
      const since = query.getAll('since')[i];
      const tier = query.getAll('tier')[i];
      const known = this.#rooms.get(room);
      if (known?.tier === tier && !known.epoch) return; // asked for, and not answered yet
      if (known && known.tier === tier && since === `${known.epoch}.${known.seq}`) {
        if (fresh) this.#out({ op: 'joined', room, ...known, recovered: true, missed: 0, events: [] });
        return;
      }
      const dot = since.lastIndexOf('.');
      const q = { op: 'join', room };
      if (since) q.since = { epoch: since.slice(0, dot), seq: Number(since.slice(dot + 1)) };
      if (tier) q.tier = tier;
      this.#rooms.set(room, { tier });
      this.#asked.push(q);
    });
  }

  say = (text) => {
    for (const m of [JSON.parse(text)].flat()) {
      const post = m.id && this.#posts.find((p) => p.ids.includes(m.id));
      if (post) this.#reply(post, m);
      else if (m.op === 'left' && m.id !== undefined) continue; // what the client asked for by its URL
      else if (m.op === 'error') this.#out({ ...m, op: 'left', room: this.#unanswered(m) });
      else this.#out(m);
    }
  };

  /** The room that a refused join was about. */
  #unanswered() {
    const [room] = [...this.#rooms].find(([, r]) => !r.epoch);
    this.#rooms.delete(room);
    return room;
  }

  #reply(post, m) {
    post.answers.push(m);
    if (post.answers.length < post.ids.length) return;
    this.#posts.splice(this.#posts.indexOf(post), 1);
    const alone = post.ids.length === 1 && m.op === 'error';
    post.resolve(json(post.answers, alone ? (STATUS[m.code] ?? 403) : 200));
  }

  #out(m) {
    const { id, ...rest } = m;
    if (m.op === 'welcome') this.#welcome = m;
    this.#fold(rest);
    this.#inbox.push(rest);
    this.#flush();
  }

  /** Notes where the client will be, for streams that are opened anew. */
  #fold(m) {
    const r = this.#rooms.get(m.room);
    if (m.op === 'left') this.#rooms.delete(m.room);
    if (!r) return;
    if (m.op === 'joined' || m.op === 'reset') Object.assign(r, { epoch: m.epoch, seq: m.seq, state: { ...m.state }, online: m.online });
    if (m.to) r.seq = Math.max(m.to, r.seq);
    if (m.op !== 'events') return;
    for (const e of m.events) {
      if (e.kind !== 'state') continue;
      if (e.body.delete) delete r.state[e.body.key];
      else r.state[e.body.key] = { value: e.body.value, version: e.seq };
    }
  }

  #flush() {
    if (this.transport === 'sse') {
      this.#stream?.say(...this.#inbox.splice(0));
    } else if (this.#inbox.length && this.#polls.length) {
      this.#polls.shift().resolve(json(this.#inbox.splice(0)));
    }
  }

  cut = () => {
    this.#stands = false;
    this.#asked.length = 0;
    this.#inbox.length = 0;
    this.#stream?.cut();
    for (const p of [...this.#polls.splice(0), ...this.#posts.splice(0)]) p.reject(new TypeError('network error'));
  };

  close = (code) => {
    if (this.#stands) this.#out({ op: 'bye', code: CLOSES[code] });
    setImmediate(this.cut);
  };
}
