// A server that drops, repeats, leaves out, resets, loses its log and cuts
// connections, against what the page has seen (row F17 of the reliability list).

import assert from 'node:assert/strict';
import test from 'node:test';
import { WELCOME, seeded, settle, start } from './fakes.mjs';

const RUNS = Number(process.env.IM_MODEL_RUNS ?? 60);
const STEPS = 150;

class Model {
  epoch = 1;
  seq = 0;
  log = [];
  floor = 0; // what is at or below it was trimmed
  state = {};
  cursor = 0;
  inRoom = false;
  last = null;

  constructor(t, random) {
    Object.assign(this, { t, random });
  }

  int(n) {
    return Math.floor(this.random() * n);
  }

  after(seq) {
    return this.log.filter((e) => e.seq > seq);
  }

  publish() {
    for (let n = 1 + this.int(3); n > 0; n--) {
      this.seq += 1 + this.int(3);
      const e = { seq: this.seq, id: `${this.epoch}-${this.seq}`, kind: ['chat', 'danmaku', 'state', 'chat'][this.int(4)], at: 1, body: {} };
      if (e.kind === 'state') {
        const key = `k${this.int(3)}`;
        e.body = this.int(3) ? { key, value: this.seq } : { key, delete: true };
        if (e.body.delete) delete this.state[key];
        else this.state[key] = { value: this.seq, version: this.seq };
      }
      this.log.push(e);
    }
  }

  say(m, lost = false) {
    this.last = JSON.stringify(m);
    if (!lost) this.t.server.peer.say(this.last);
  }

  deliver(lost) {
    const events = this.after(this.cursor);
    if (!this.inRoom || !events.length) return;
    this.say({ op: 'events', room: '42', prev: this.cursor, to: this.seq, events }, lost);
    this.cursor = this.seq;
  }

  gap() {
    if (!this.inRoom) return;
    const prev = this.cursor;
    let missed = 0;
    for (const e of this.after(this.cursor)) {
      if (e.kind !== 'danmaku') break;
      missed++;
      this.cursor = e.seq;
    }
    if (missed) this.say({ op: 'gap', room: '42', missed, prev, to: this.cursor });
  }

  enter(op, id, since) {
    const m = { op, id, room: '42', epoch: `e${this.epoch}`, seq: this.seq, recovered: false, missed: 0, state: structuredClone(this.state), online: 1, events: [] };
    if (since?.epoch === m.epoch && since.seq >= this.floor) {
      m.recovered = true;
      for (const e of this.after(since.seq)) {
        if (e.kind === 'danmaku' && this.int(2)) m.missed++;
        else m.events.push(e);
      }
    } else {
      m.events = this.after(Math.max(this.floor, this.seq - 5));
    }
    this.cursor = this.seq;
    this.inRoom = true;
    this.say(m);
  }

  async settle() {
    const { clock, server } = this.t;
    await settle();
    await clock.until(() => server.peer.socket.readyState === 1, 120_000);
    if (!server.peer.greeted) {
      server.peer.greeted = true;
      server.peer.onping = () => server.peer.say({ op: 'pong', at: 1 });
      this.inRoom = false;
      server.peer.say(WELCOME);
    }
    for (let i = 0; i < 3; i++) {
      await settle();
      for (const q of server.peer.take()) if (q.op === 'join') this.enter('joined', q.id, q.since);
    }
  }

  step() {
    const steps = {
      publish: () => this.publish(), publish2: () => this.publish(), deliver: () => this.deliver(), deliver2: () => this.deliver(),
      lose: () => this.deliver(true), gap: () => this.gap(), repeat: () => this.last && this.inRoom && this.t.server.peer.say(this.last),
      reset: () => this.inRoom && this.enter('reset'), cut: () => this.t.server.peer.close(),
      trim: () => (this.floor = Math.max(this.floor, this.seq - 4)),
      epoch: () => {
        Object.assign(this, { epoch: this.epoch + 1, seq: 0, log: [], floor: 0, state: {} });
        this.publish();
        if (this.inRoom) this.enter('reset');
      },
    };
    const names = Object.keys(steps);
    steps[names[this.int(names.length)]]();
  }
}

test(`${RUNS} random runs of ${STEPS} steps`, async () => {
  for (let seed = 1; seed <= RUNS; seed++) await play(seed).catch((error) => {
    error.message = `seed ${seed}: ${error.message}`;
    throw error;
  });
});

async function play(seed) {
  const t = start();
  const m = new Model(t, seeded(seed));
  await settle();
  const joining = t.client.join('42');
  await m.settle();
  const room = await joining;
  let view;
  const state = new Map();
  room.on('reset', (e) => (view = { from: e.position.seq, at: e.position.seq, events: new Set(), missed: 0, danmaku: 0 }));
  room.on('resumed', (e) => (view.missed += e.missed));
  room.on('gap', (e) => (view.missed += e.missed));
  room.on('state', (e) => (e.version ? state.set(e.key, e.value) : state.delete(e.key)));
  room.on('event', (e) => {
    if (e.replayed) return assert.ok(e.seq <= view.from);
    assert.ok(e.seq > view.at, `event ${e.seq} after ${view.at}`);
    view.at = e.seq;
    view.events.add(e.seq);
    if (e.kind === 'danmaku') view.danmaku++;
  });
  await t.clock.advance(0);
  for (let i = 0; i < STEPS; i++) {
    m.step();
    await m.settle();
  }
  for (let i = 0; i < 3; i++) {
    m.publish();
    m.deliver();
    await m.settle();
  }
  const log = m.after(view.from);
  for (const e of log) assert.ok(e.kind === 'danmaku' || view.events.has(e.seq), `${e.kind} ${e.seq} is missing and not flagged`);
  assert.ok(log.filter((e) => e.kind === 'danmaku').length - view.danmaku <= view.missed, 'danmaku are missing and not flagged');
  assert.deepEqual(room.position, { epoch: `e${m.epoch}`, seq: m.seq });
  const want = Object.fromEntries(Object.entries(m.state).map(([k, c]) => [k, c.value]));
  assert.deepEqual(Object.fromEntries(room.state.entries()), want);
  assert.deepEqual(Object.fromEntries(state), want);
  t.client.close();
}
