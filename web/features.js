// What a room can have beside its messages: gifts and paid messages, likes, who is there, and moderation. It
// goes with im.js, for hubs that have the Go packages gift, reaction, presence and moderate:
//
//   import { connect } from './im.js'
//   import { gifts, likes, people, moderation } from './features.js'
//   const room = await client.join('42')
//   const shop = gifts(client, room)   // at once after the join, so that nothing is missed
//   shop.on('combo', ({ from, gift, count }) => show(from, gift, count))
//   await shop.send('rose', { count: 3, price: 10 })
//
// Types and what everything means: features.d.ts. Show what comes from others as text, never as HTML.

/** Handlers by type, and what is to be undone at the end. */
class Feature {
  #map = new Map();
  #ended = new AbortController();

  constructor(env, signal) {
    this.env = { setTimeout: (fn, ms) => setTimeout(fn, ms), clearTimeout: (timer) => clearTimeout(timer), random: Math.random, ...env };
    this.until = { signal: this.#ended.signal };
    signal?.addEventListener('abort', () => this.close(), { once: true });
  }

  /** Adds a handler; returns a function that takes it away again. */
  on(type, fn, { signal } = {}) {
    if (typeof fn !== 'function') throw new TypeError(`the handler of '${type}' is not a function`);
    const entry = (arg) => fn(arg);
    if (!this.#map.has(type)) this.#map.set(type, new Set());
    const off = () => this.#map.get(type).delete(entry);
    if (!signal?.aborted) this.#map.get(type).add(entry);
    signal?.addEventListener('abort', off, { once: true });
    return off;
  }

  emit(type, arg) {
    for (const fn of [...(this.#map.get(type) ?? [])]) {
      try {
        fn(arg);
      } catch (error) {
        (globalThis.reportError ?? console.error)(error);
      }
    }
  }

  get closed() {
    return this.#ended.signal.aborted;
  }

  /** Ends it: it hears nothing more of the room. */
  close() {
    this.#ended.abort();
    this.#map.clear();
  }
}

/** Calls an operation about the room, without the members that are undefined; resolves with what it returned. */
async function ask(client, room, op, body, { cid, signal } = {}) {
  return (await client.call(op, room && room.name, JSON.parse(JSON.stringify(body ?? {})), { cid, signal })).body;
}

/** The values of the keys of the state that begin so. */
const under = (room, prefix) => [...room.state.entries()].filter(([key, value]) => key.startsWith(prefix) && value).map(([, value]) => value);

// ---------------------------------------------------------------- gifts

const FINAL = ['delivered', 'canceled', 'failed', 'refunded', 'review'];
const LISTS = ['stream', 'day', 'all'];
const COMBOS = 200; // that are remembered

class Gifts extends Feature {
  #client;
  #room;
  #combos = new Map(); // by id: {id, count, …, timer}
  #pending = new Set(); // ids of orders that have not ended

  /** Red packets. */
  packets = {
    open: (amount, shares, { split, ...how } = {}) => this.#buy('packet.send', { amount, shares, split }, how),
    claim: (packet, how) => ask(this.#client, this.#room, 'packet.claim', { packet }, how),
    show: (packet, how) => ask(this.#client, this.#room, 'packet.show', { packet }, how),
  };

  constructor(client, room, { env, signal } = {}) {
    super(env, signal);
    this.#client = client;
    this.#room = room;
    room.on('event', (e) => this.#take(e), this.until);
    room.on('removed', (what) => this.#remove(what), this.until);
    room.state.on('gift.pin.*', () => this.emit('pins', this.pins), this.until);
    for (const list of LISTS) room.state.on(`gift.top.${list}`, (value) => this.emit('givers', { list, value }), this.until);
    client.on('direct', ({ kind, body }) => kind === 'gift' && body?.type === 'order' && this.#follow(body, true), this.until);
    client.on('status', ({ phase }) => phase === 'online' && this.#catchUp(), this.until);
  }

  list(how) {
    return ask(this.#client, this.#room, 'gift.list', {}, how);
  }

  send(gift, { count, price, ...how } = {}) {
    return this.#buy('gift.send', { gift, count, price }, how);
  }

  pay(text, amount, how) {
    return this.#buy('paid.send', { amount, text }, how);
  }

  async order(order, how) {
    return this.#follow(await ask(this.#client, null, 'gift.order', { order }, how), true);
  }

  top(list, how) {
    return ask(this.#client, this.#room, 'gift.top', { list }, how);
  }

  get givers() {
    return Object.fromEntries(LISTS.map((list) => [list, this.#room.state.get(`gift.top.${list}`)]));
  }

  get pins() {
    return under(this.#room, 'gift.pin.').sort((a, b) => b.amount - a.amount || b.until - a.until);
  }

  get combos() {
    return [...this.#combos.values()].filter((c) => c.timer).map(comboOf);
  }

  close() {
    for (const c of this.#combos.values()) this.env.clearTimeout(c.timer);
    super.close();
  }

  async #buy(op, body, how) {
    return this.#follow(await ask(this.#client, this.#room, op, body, how), false);
  }

  /** How an order stands. Whoever waits for the answer of a purchase needs no event as well. */
  #follow(order, tell) {
    const final = FINAL.includes(order?.state);
    const waited = this.#pending.has(order?.order);
    if (final) this.#pending.delete(order.order);
    else if (order?.order) this.#pending.add(order.order);
    if (tell && (!final || waited || order.type)) this.emit('order', order);
    return order;
  }

  /** What ended while the connection was away. */
  #catchUp() {
    for (const id of this.#pending) this.order(id).catch(() => {}); // it is asked again after the next disconnect
  }

  #take(event) {
    const { kind, body, replayed } = event;
    if (kind !== 'gift' || typeof body?.type !== 'string') return;
    if (body.type === 'gift') return this.#combo(event);
    if (!replayed) this.emit(body.type, event); // paid and packet
  }

  /** One growing gift for each combo, at the highest count that has come. */
  #combo(event) {
    const { body, from, replayed } = event;
    const gives = Number.isSafeInteger(body.count) ? body.count : 1;
    const { id, count, window_ms: lasts } = { id: body.order, count: gives, window_ms: 0, ...body.combo };
    const old = this.#combos.get(id);
    const high = Math.max(old?.count ?? 0, Number.isSafeInteger(count) ? count : 0);
    const combo = { id, from, gift: body.gift, name: body.name, effect: body.effect, count: high, grew: high - (old?.count ?? 0), lasts, event, timer: undefined };
    this.env.clearTimeout(old?.timer);
    this.#combos.delete(id); // so that the last that grew is the last in the map
    this.#combos.set(id, combo);
    if (this.#combos.size > COMBOS) this.#end(this.#combos.values().next().value, true);
    if (replayed) return;
    if (lasts > 0) combo.timer = this.env.setTimeout(() => this.#end(combo), lasts);
    this.emit('combo', comboOf(combo));
  }

  #end(combo, forget) {
    this.env.clearTimeout(combo.timer);
    if (forget) this.#combos.delete(combo.id);
    if (combo.timer !== undefined) this.emit('comboend', comboOf(combo));
    combo.timer = undefined;
  }

  #remove(what) {
    for (const combo of [...this.#combos.values()]) if (what.has(combo.event)) this.#end(combo, true);
  }
}

const comboOf = ({ timer, ...combo }) => combo;

/** The gifts of a room, paid messages and red packets. */
export function gifts(client, room, options) {
  return new Gifts(client, room, options);
}

// ---------------------------------------------------------------- likes

const GATHER = 250; // ms
const AT_ONCE = 10;
const BACKLOG = 10_000;

class Likes extends Feature {
  #room;
  #kind;
  #waiting = 0; // to be sent
  #sent = 0; // on their way
  #mine = 0; // sent, and not yet seen in the total
  #timer;

  constructor(room, { kind = 'like', env, signal } = {}) {
    super(env, signal);
    this.#room = room;
    this.#kind = kind;
    room.on('event', (e) => this.#take(e), this.until);
    room.on('reset', () => (this.#mine = 0), this.until);
    room.state.on(`im.total.${kind}`, () => this.emit('total', this.total), this.until);
  }

  /** What the room has seen. */
  get total() {
    const total = this.#room.state.get(`im.total.${this.#kind}`);
    return Number.isSafeInteger(total) && total > 0 ? total : 0;
  }

  /** Those of this page that the room has yet to get. */
  get waiting() {
    return this.#waiting + this.#sent;
  }

  add(n = 1) {
    this.#waiting = Math.min(this.#waiting + n, BACKLOG);
    this.#timer ??= this.env.setTimeout(() => this.#send(), GATHER);
  }

  close() {
    this.env.clearTimeout(this.#timer);
    super.close();
  }

  async #send() {
    const n = Math.min(this.#waiting, AT_ONCE);
    let rest = GATHER;
    this.#waiting -= n;
    this.#sent = n;
    this.#mine += n; // the event may come before the answer
    try {
      await this.#room.send(this.#kind, { n });
    } catch (error) {
      this.#mine = Math.max(this.#mine - n, 0);
      // What was refused for now is sent again; what may have arrived is not.
      if (error.code === 'rate_limited' || error.code === 'overloaded') {
        this.#waiting = Math.min(this.#waiting + n, BACKLOG);
        rest = Math.max(error.retryAfter, GATHER);
      } else {
        this.emit('lost', { n, error });
      }
    }
    this.#sent = 0;
    this.#timer = this.#waiting && !this.closed && !this.#room.error ? this.env.setTimeout(() => this.#send(), rest) : undefined;
  }

  #take(event) {
    const { kind, body, merged, replayed } = event;
    if (kind === this.#kind && merged && !replayed) {
      const n = Number.isSafeInteger(body?.n) && body.n > 0 ? body.n : 0;
      const mine = Math.min(n, this.#mine);
      this.#mine -= mine;
      this.emit('grow', { n, mine, others: n - mine, total: this.total });
    }
    if (!replayed && body?.reaction === this.#kind && Number.isSafeInteger(body.milestone)) this.emit('milestone', { n: body.milestone, event });
  }
}

/** The likes of a room, or another reaction. */
export function likes(room, options) {
  return new Likes(room, options);
}

// ---------------------------------------------------------------- people

const PAGE = 500;
const SPREAD = 5_000; // ms within which those who missed the same ask
const APART = 10_000; // ms between two times that this page asks by itself
const HEARD = 64; // of what is told while the roster is read

class People extends Feature {
  #client;
  #room;
  #of = '';
  #v = 0;
  #members = null; // by id, in the order in which they came; null: not known
  #heard = null; // what is told while the roster is read
  #reading = null;
  #watchers = 0;
  #timer;
  count = 0;
  large = false;
  top = [];

  constructor(client, room, { env, signal } = {}) {
    super(env, signal);
    this.#client = client;
    this.#room = room;
    for (const type of ['reset', 'resumed', 'online']) room.on(type, () => this.#hear(room.told.presence), this.until);
    this.#hear(room.told.presence);
  }

  /** Who is there, as far as it is known; see list. */
  get members() {
    return this.#members && [...this.#members.values()];
  }

  /** Who is there. Asks if that is not known; [] in a large room. */
  async list({ signal } = {}) {
    if (!this.#members && !this.large) await (this.#reading ??= this.#read(signal).finally(() => (this.#reading = null)));
    return this.members ?? [];
  }

  /** Keeps the members known, as long as the list is shown. @returns a function that ends it */
  watch() {
    let over = false;
    this.#watchers++;
    if (!this.#members) this.#askAgain(0);
    return () => {
      if (!over) this.#watchers--;
      over = true;
    };
  }

  close() {
    this.env.clearTimeout(this.#timer);
    super.close();
  }

  #hear(told) {
    if (typeof told?.of !== 'string') return;
    if (this.#heard) this.#heard = [...this.#heard.slice(1 - HEARD), told];
    this.#take(told);
  }

  #take(told) {
    const { of, v, prev, count = 0, in: came = [], out = [], large = false, top = [] } = told;
    if (of === this.#of && v <= this.#v) return;
    const same = of === this.#of && this.#members !== null && prev <= this.#v;
    if (large || prev === undefined) this.#members = null;
    else if (prev === 0) this.#members = byId(came);
    else if (same) this.#change(came, out);
    else this.#members = null;
    Object.assign(this, { count, large, top });
    this.#of = of;
    this.#v = v;
    this.emit('change', { count, large, top, came: told.came ?? [], members: this.members });
    if (!this.#members && prev !== undefined && this.#watchers > 0) this.#askAgain(this.env.random() * SPREAD);
  }

  #change(came, out) {
    for (const m of came) this.#members.set(m.id, m);
    for (const id of out) this.#members.delete(id);
  }

  #askAgain(ms) {
    if (this.#timer !== undefined) return;
    this.#timer = this.env.setTimeout(async () => {
      const ask = this.#watchers > 0 ? this.list() : Promise.resolve();
      const denied = await ask.then(() => false, (error) => error.retry === 'never');
      this.#timer = this.closed ? undefined : this.env.setTimeout(() => this.#rested(denied), APART);
    }, ms);
  }

  #rested(denied) {
    this.#timer = undefined;
    if (this.#watchers > 0 && !this.#members && !this.large && !denied) this.#askAgain(this.env.random() * SPREAD);
  }

  /** Reads all pages. What they say is as of the version of the first; what was told meanwhile comes on top. */
  async #read(signal) {
    this.#heard = [];
    try {
      let first;
      let members = [];
      for (let after = 0; ; ) {
        const page = await ask(this.#client, this.#room, 'presence.list', { after, max: PAGE }, { signal });
        if (page.of !== first?.of) {
          first = page;
          members = [];
          if (after > 0 && !page.large) {
            after = 0; // of another server: from the beginning
            first = undefined;
            continue;
          }
        }
        members.push(...page.members);
        if (!(after = page.next) || page.large) break;
      }
      const heard = this.#heard.filter((told) => told.prev !== undefined);
      if (this.#members && this.#of === first.of && this.#v >= first.v) return; // it was told meanwhile
      this.#of = ''; // so that the page counts, whatever is known
      this.#take({ ...first, prev: 0, in: members, out: [] });
      for (const told of heard) this.#take(told);
    } finally {
      this.#heard = null;
    }
  }
}

const byId = (members) => new Map(members.map((m) => [m.id, m]));

/** Who is in a room. */
export function people(client, room, options) {
  return new People(client, room, options);
}

// ---------------------------------------------------------------- moderation

/** A user's id, or {user}, {prefix}, {device} and {by}. */
const target = (whom) => (typeof whom === 'string' ? { user: whom } : whom);

class Moderation extends Feature {
  #client;
  #room;
  #attending = false;
  #news = null; // what was told since the lists were read: {queue, reports, gone}
  #queue = new Map(); // what waits, by event
  #reports = new Map(); // the open ones, by id

  constructor(client, room, { env, signal } = {}) {
    super(env, signal);
    this.#client = client;
    this.#room = room;
    client.on('direct', ({ kind, body }) => kind === 'moderation' && body?.room === room.name && this.#hear(body), this.until);
    for (const type of ['reset', 'resumed']) room.on(type, () => this.#attending && this.#read(), this.until);
    room.state.on('mod.pin.*', () => this.emit('pins', this.pins), this.until);
    room.state.on('mod.approval', () => this.emit('approval', this.approving), this.until);
  }

  mute = (whom, how) => this.#impose('mod.mute', whom, how);
  shadow = (whom, how) => this.#impose('mod.shadow', whom, how);
  ban = (whom, how) => this.#impose('mod.ban', whom, how);
  unmute = (whom, how) => this.#impose('mod.unmute', whom, how);
  unshadow = (whom, how) => this.#impose('mod.unshadow', whom, how);
  unban = (whom, how) => this.#impose('mod.unban', whom, how);

  kick(user, { reason, ...how } = {}) {
    return this.#ask('mod.kick', { user, reason }, how);
  }

  /** Deletes events by `seqs`, or all of a `user`, of `kinds`. */
  delete({ seqs, user, kinds, reason }, how) {
    return this.#ask('mod.delete', { seqs, user, kinds, reason }, how);
  }

  pass(event, how) {
    return this.#decide('mod.pass', event, {}, how);
  }

  refuse(event, { reason, ...how } = {}) {
    return this.#decide('mod.refuse', event, { reason }, how);
  }

  async waiting(how) {
    return (await this.#ask('mod.waiting', {}, how)).waiting;
  }

  /** Messages of these kinds wait from now on until they are passed; [] for none. */
  approve(kinds, how) {
    return this.#ask('mod.approval', { kinds: kinds.length ? kinds : undefined }, how);
  }

  async modes(modes, how) {
    return (await this.#ask('mod.modes', { modes }, how)).version;
  }

  /** Pins a message by its `seq`, or a `text` under an `id`. */
  pin({ seq, id, text, ms }, how) {
    return this.#ask('mod.pin', { seq, id, text, ms }, how);
  }

  unpin(id, how) {
    return this.#ask('mod.unpin', { id }, how);
  }

  announce(text, how) {
    return this.#ask('mod.announce', { text }, how);
  }

  /** Tells the staff of a message. */
  report(seq, { reason, ...how } = {}) {
    return this.#ask('mod.report', { seq, reason }, how);
  }

  async reports(how) {
    return (await this.#ask('mod.reports', {}, how)).reports;
  }

  async resolve(id, { reason, ...how } = {}) {
    await this.#ask('mod.resolve', { id, reason }, how);
    this.#gone(this.#reports, id, 'reports');
  }

  async sanctions({ hub, ...how } = {}) {
    return (await this.#ask('mod.sanctions', { hub }, how)).sanctions;
  }

  async why({ user, event }, how) {
    return (await this.#ask('mod.why', { user, event }, how)).decisions;
  }

  /** Why a user does not see, or may not send, what they would. */
  explain(user, how) {
    return ask(this.#client, this.#room, 'explain', { user }, how);
  }

  /** What is pinned, the newest first. */
  get pins() {
    return under(this.#room, 'mod.pin.').sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
  }

  /** The kinds of which messages wait. */
  get approving() {
    return this.#room.state.get('mod.approval')?.kinds ?? [];
  }

  /** What waits, while attend is on. */
  get queue() {
    return [...this.#queue.values()];
  }

  /** The open reports, while attend is on; those of most users first. */
  get open() {
    return [...this.#reports.values()].sort((a, b) => b.count - a.count);
  }

  /** For staff: listens to what waits and to reports, and keeps both, also over reconnects. */
  attend(on = true) {
    this.#attending = on;
    if (on) return this.#read();
    this.#news = null;
    this.#queue.clear();
    this.#reports.clear();
    this.#tell('queue', 'reports');
  }

  #impose(op, whom, { ms, reason, hub, ...how } = {}) {
    return this.#ask(op, { ...target(whom), ms, reason, hub }, how);
  }

  async #decide(op, event, body, how) {
    try {
      await this.#ask(op, { event, ...body }, how);
    } catch (error) {
      if (error.code === 'not_found') this.#gone(this.#queue, event, 'queue'); // somebody else was faster
      throw error;
    }
    this.#gone(this.#queue, event, 'queue');
  }

  #ask(op, body, how) {
    return ask(this.#client, this.#room, op, body, how);
  }

  /** Asking is what puts this connection among those that are told. What is told meanwhile comes on top. */
  async #read() {
    const news = (this.#news = { queue: new Map(), reports: new Map(), gone: new Set() });
    const take = (list, id, fresh) =>
      new Map([...list.map((x) => [x[id], x]), ...fresh].filter(([key]) => !news.gone.has(key)));
    try {
      const [waiting, reports] = await Promise.all([this.waiting(), this.reports()]);
      if (news !== this.#news || this.closed) return; // it is asked anew, or over
      this.#queue = take(waiting, 'event', news.queue);
      this.#reports = take(reports, 'id', news.reports);
      this.#tell('queue', 'reports');
    } catch (error) {
      if (news === this.#news && !this.closed) this.emit('error', error);
    }
  }

  #hear({ type, [type]: what }) {
    if (!what) return;
    this.emit(type, what);
    if (!this.#attending) return;
    if (type === 'waiting') this.#put(this.#queue, this.#news.queue, what.event, what, 'queue');
    else if (type === 'report') this.#put(this.#reports, this.#news.reports, what.id, what, 'reports');
    else if (type === 'decided') this.#gone(this.#queue, what.event, 'queue');
    else if (type === 'resolved') this.#gone(this.#reports, what.id, 'reports');
  }

  #put(map, news, key, value, list) {
    map.set(key, value);
    news.set(key, value);
    this.#tell(list);
  }

  #gone(map, key, list) {
    this.#news?.gone.add(key);
    if (map.delete(key)) this.#tell(list);
  }

  #tell(...lists) {
    for (const list of lists) this.emit(list, list === 'queue' ? this.queue : this.open);
  }
}

/** The moderation of a room: operations for staff, what its staff is told, and reports of viewers. */
export function moderation(client, room, options) {
  return new Moderation(client, room, options);
}
