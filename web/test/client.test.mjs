// Requests, rooms, tokens, pages that come and go: all over WebSocket.

import assert from 'node:assert/strict';
import test from 'node:test';
import { ImError } from '../im.js';
import { WELCOME, enter, joined, online, outcome, settle, start, watch } from './fakes.mjs';

const chat = (seq, more) => ({ seq, id: `e-${seq}`, kind: 'chat', at: 1, body: { n: seq }, ...more });
const kinds = (seen) => seen.map(([type, e]) => (type === 'event' ? e.seq : type));

test('what a join shows comes after the handlers were added', async () => {
  const t = await online();
  const { room, seen } = await enter(t, '42', {}, { state: { k: { value: 1, version: 90 } }, events: [chat(99), chat(100)] });
  assert.deepEqual(kinds(seen), ['reset', 'state', 99, 100]);
  assert.ok(seen[2][1].replayed);
  assert.deepEqual(room.position, { epoch: 'e1', seq: 100 });
  assert.equal(room.state.get('k'), 1);
  assert.equal(room.state.version('k'), 90);
  assert.equal(room.online, 1);
});

test('the state is the new one when the page hears of a reset', async () => {
  const t = await online();
  const { room } = await enter(t, '42', {}, { state: { a: { value: 1, version: 5 }, gone: { value: 1, version: 6 } } });
  const heard = [];
  room.on('reset', () => heard.push(room.state.get('a')));
  room.state.on('a', (value, version) => heard.push([value, version]));
  room.state.on('gone', (value, version) => heard.push([value, version]));
  t.server.peer.say({ op: 'reset', room: '42', epoch: 'e2', seq: 9, state: { a: { value: 2, version: 8 } }, events: [] });
  assert.deepEqual(heard, [2, [2, 8], [undefined, 0]]);
});

test('events of merged kinds keep the totals in the state fresh', async () => {
  const t = await online();
  const { room } = await enter(t, '42', {}, { state: { 'im.total.like': { value: 1200, version: 5 } } });
  const heard = [];
  room.state.on('im.total.like', (value, version) => heard.push([value, version]));
  t.server.peer.say({ op: 'events', room: '42', prev: 100, to: 102, events: [
    { seq: 101, id: 'e-101', kind: 'like', at: 1, merged: true, body: { n: 4, total: 1204 } },
    { seq: 102, id: 'e-102', kind: 'poll', at: 1, body: { n: 1, total: 2 } },
  ] });
  assert.deepEqual(heard, [[1204, 101]]);
  assert.equal(room.state.get('im.total.like'), 1204);
  assert.equal(room.state.get('im.total.poll'), undefined);
});

test('a position within a replay is where the rest could be had again', async () => {
  const t = await online();
  const { room } = await enter(t);
  const at = [];
  room.on('event', () => at.push(room.position?.seq));
  room.on('reset', () => at.push(room.position));
  t.server.peer.say({ op: 'reset', room: '42', epoch: 'e2', seq: 12, state: {}, events: [chat(9), chat(10)] });
  t.server.peer.say({ op: 'events', room: '42', prev: 12, to: 20, events: [chat(13), chat(15)] });
  assert.deepEqual(at, [null, 9, 10, 13, 15]);
  assert.deepEqual(room.position, { epoch: 'e2', seq: 20 });
});

test('handlers that throw break nothing', async (c) => {
  const errors = c.mock.method(console, 'error', () => {});
  const t = await online();
  const { room, seen } = await enter(t);
  room.on('event', () => { throw new Error('of the page'); });
  const later = watch(room);
  t.server.peer.say({ op: 'events', room: '42', prev: 100, to: 102, events: [chat(101), chat(102)] });
  assert.deepEqual(kinds(later), [101, 102]);
  assert.deepEqual(kinds(seen).slice(-2), [101, 102]);
  assert.equal(errors.mock.callCount(), 2);
});

test('a handler that leaves sees nothing more', async () => {
  const t = await online();
  const { room, seen } = await enter(t);
  room.on('event', () => room.leave());
  t.server.peer.say({ op: 'events', room: '42', prev: 100, to: 102, events: [chat(101), chat(102)] });
  assert.deepEqual(kinds(seen), ['reset', 101]);
  assert.equal(room.error.code, 'left');
  await assert.rejects(room.send('chat', 1), { code: 'left' });
});

test('handlers end with off and with a signal', async () => {
  const t = await online();
  const { room } = await enter(t);
  const stop = new AbortController();
  const heard = [];
  const off = room.on('online', (e) => heard.push(`a${e.count}`));
  room.on('online', (e) => heard.push(`b${e.count}`), { signal: stop.signal });
  room.on('online', (e) => e.joined && heard.push(`${e.joined.names} of ${e.joined.n}`));
  t.server.peer.say({ op: 'online', room: '42', count: 1, joined: { names: ['Ann', 'Bo'], n: 5 } });
  off();
  t.server.peer.say({ op: 'online', room: '42', count: 2 });
  stop.abort();
  t.server.peer.say({ op: 'online', room: '42', count: 3 });
  assert.deepEqual(heard, ['a1', 'b1', 'Ann,Bo of 5', 'b2']);
});

test('requests of one moment travel in one message, at most 64 of them', async () => {
  const t = await online();
  const { room } = await enter(t);
  t.server.peer.messages = [];
  for (let i = 0; i < 100; i++) room.send('chat', i).catch(() => {});
  await settle();
  assert.deepEqual(t.server.peer.messages.map((m) => JSON.parse(m).length), [64, 36]);
  assert.deepEqual(t.server.peer.take().map((q) => q.body), Array.from({ length: 100 }, (_, i) => i));
});

test('a message of the client stays below 64 KiB, counted in bytes', async () => {
  const t = await online();
  const { room } = await enter(t);
  t.server.peer.messages = [];
  await assert.rejects(room.send('chat', '汉'.repeat(22_000)), { code: 'too_large' });
  for (let i = 0; i < 10; i++) room.send('chat', '汉'.repeat(7_000)).catch(() => {});
  await settle();
  assert.ok(t.server.peer.messages.length >= 4);
  for (const m of t.server.peer.messages) assert.ok(Buffer.byteLength(m) <= 64 << 10);
});

test('unanswered sends go out again in their order, under the same cids; the first answer wins', async () => {
  const t = await online();
  const { room } = await enter(t);
  const a = outcome(room.send('chat', 'a'));
  const b = outcome(room.send('chat', 'b', { cid: 'mine' }));
  const h = outcome(room.history({ max: 5, newest: true }));
  await settle();
  const first = t.server.peer.take();
  t.server.peer.close();
  const c = outcome(room.send('chat', 'c')); // made while there is no connection
  await t.clock.until(() => t.server.peers.length === 2);
  t.server.peer.say(WELCOME);
  await settle();
  const [join] = t.server.peer.take();
  assert.deepEqual(join.since, { epoch: 'e1', seq: 100 });
  t.server.peer.say(joined(join));
  await settle();
  const again = t.server.peer.take();
  assert.deepEqual(again.map((q) => q.body ?? q.op), ['a', 'b', 'history', 'c']);
  assert.deepEqual(again.slice(0, 2).map((q) => q.cid), first.slice(0, 2).map((q) => q.cid));
  t.server.peer.say({ op: 'ack', id: again[0].id, status: 'ok', event: 'e-1' }, { op: 'ack', id: again[0].id, status: 'shed' });
  t.server.peer.say({ op: 'ack', id: again[1].id, status: 'merged' }, { op: 'history', id: again[2].id, epoch: 'e1', events: [], more: true, next: 7 });
  t.server.peer.say({ op: 'error', id: again[3].id, code: 'rate_limited', reason: 'slowly', retry_ms: 1200 });
  await settle();
  assert.deepEqual(a.value, { status: 'ok', event: 'e-1', cid: first[0].cid, body: undefined });
  assert.equal(b.value.cid, 'mine');
  assert.deepEqual(h.value, { epoch: 'e1', events: [], more: true, next: { epoch: 'e1', seq: 7 }, missed: 0 });
  assert.ok(c.error instanceof ImError);
  assert.deepEqual([c.error.code, c.error.retry, c.error.retryAfter, c.error.cid], ['rate_limited', 'later', 1200, again[3].cid]);
});

test('an answer that does not come is asked for again under the cid', async () => {
  const t = await online();
  const { room } = await enter(t);
  t.server.peer.onping = () => t.server.peer.say({ op: 'pong', at: t.clock.time });
  const sent = outcome(room.send('chat', 'a'));
  await settle();
  const [first] = t.server.peer.take();
  await t.clock.until(() => t.server.peer.requests.length);
  const [second] = t.server.peer.take();
  assert.equal(second.cid, first.cid);
  t.server.peer.say({ op: 'ack', id: second.id, status: 'ok', event: 'x' });
  await settle();
  assert.equal(sent.value.status, 'ok');
});

test('an aborted request rejects with the reason of its signal', async () => {
  const t = await online();
  const { room } = await enter(t);
  const stop = new AbortController();
  const { signal } = stop;
  const all = [room.send('chat', 1, { signal }), room.history({ signal }), room.state.set('k', 1, { signal }), t.client.call('x', null, {}, { signal }), t.client.join('43', { signal }), room.setTier('reduced', { signal })].map(outcome);
  await settle();
  const reason = new Error('enough');
  stop.abort(reason);
  await settle();
  assert.deepEqual(all.map((o) => o.error), all.map(() => reason));
  await assert.rejects(room.send('chat', 1, { signal }), reason);
  assert.ok(t.server.peer.take().some((q) => q.op === 'leave' && q.room === '43'), 'the server lets the client out of the room that it gave up');
});

test('compare and set', async () => {
  const t = await online();
  const { room } = await enter(t);
  const set = outcome(room.state.set('seat', { who: 'ann' }, { if: 0 }));
  const gone = outcome(room.state.delete('seat', { if: 3 }));
  await settle();
  const [a, b] = t.server.peer.take();
  assert.deepEqual(a.body, { key: 'seat', value: { who: 'ann' }, if: 0 });
  assert.deepEqual(b.body, { key: 'seat', delete: true, if: 3 });
  t.server.peer.say({ op: 'ack', id: a.id, status: 'ok', body: { version: 7 } }, { op: 'error', id: b.id, code: 'conflict' });
  await settle();
  assert.equal(set.value, 7);
  assert.equal(gone.error.code, 'conflict');
  await assert.rejects(room.state.set('seat', undefined), TypeError);
});

test('counters, keys that expire, keys with an owner', async () => {
  const t = await online();
  const { room } = await enter(t, '42', {}, { state: { 'seat.2': { value: 'bob', version: 90, owner: 'u2', until: 5000 } } });
  const asked = async (what) => {
    const done = outcome(what);
    await settle();
    const [q] = t.server.peer.take();
    return [q, done];
  };
  const [set] = await asked(room.state.set('seat.1', 'ann', { ttl: 60_000, owner: true, if: 0 }));
  assert.deepEqual([set.op, set.body], ['state.set', { key: 'seat.1', value: 'ann', if: 0, ttl_ms: 60_000, owner: true }]);
  const [add, sum] = await asked(room.state.add('stock', -1, { min: 0 }));
  assert.deepEqual([add.op, add.body], ['state.add', { key: 'stock', add: -1, min: 0 }]);
  t.server.peer.say({ op: 'ack', id: add.id, status: 'ok', body: { version: 103, value: 6 } });
  await settle();
  assert.deepEqual(sum.value, { version: 103, value: 6 });
  const heard = [];
  room.state.on('seat.*', (...args) => heard.push(args));
  const off = room.state.on('stock', (...args) => heard.push(args));
  const state = (seq, body) => ({ seq, id: `e-${seq}`, kind: 'state', at: 1, body });
  t.server.peer.say({ op: 'events', room: '42', prev: 100, to: 105, events: [
    state(102, { key: 'seat.1', value: 'ann', until: 9000, owner: 'u1' }),
    state(103, { key: 'stock', value: 6, add: -1 }),
    state(104, { key: 'stock', add: -1 }), // as a page of the history has it: not what it led to
    state(105, { key: 'seat.2', delete: true }),
  ] });
  assert.deepEqual(heard, [['ann', 102, 'seat.1'], [6, 103, 'stock'], [undefined, 0, 'seat.2']]);
  assert.deepEqual(room.state.all(), { 'seat.1': 'ann', stock: 6 });
  assert.deepEqual(room.state.cell('seat.1'), { value: 'ann', version: 102, until: 9000, owner: 'u1' });
  assert.equal(room.state.cell('seat.2'), undefined);
  off();
  t.server.peer.say({ op: 'events', room: '42', prev: 105, to: 106, events: [] }); // newer values are on their way
  t.server.peer.say({ op: 'events', room: '42', prev: 106, to: 107, events: [state(107, { key: 'stock', value: 5 })] });
  assert.deepEqual([heard.length, room.state.get('stock'), room.position.seq], [3, 5, 107]);
});

test('a room that is joined twice, one that is refused, one from which one is put out', async () => {
  const t = await online();
  const { room, seen } = await enter(t);
  await assert.rejects(t.client.join('42'), { code: 'conflict' });
  const refused = outcome(t.client.join('43'));
  await settle();
  t.server.peer.say({ op: 'error', id: t.server.peer.take()[0].id, code: 'overloaded', retry_ms: 500 });
  await settle();
  assert.equal(refused.error.code, 'overloaded');
  t.server.peer.say({ op: 'left', room: '42', code: 'rate_limited', retry_ms: 2000 });
  await t.clock.until(() => t.server.peer.requests.length);
  const [q] = t.server.peer.take(); // "later": it comes back by itself
  assert.deepEqual([q.op, q.since.seq], ['join', 100]);
  t.server.peer.say(joined(q));
  t.server.peer.say({ op: 'left', room: '42', code: 'kicked', reason: 'spam' });
  assert.deepEqual(kinds(seen), ['reset', 'resumed', 'left']);
  assert.equal(room.error.code, 'kicked');
});

test('a token for each connection; expired asks for another one at once; a second refusal is final', async () => {
  let n = 0;
  const t = start({ token: async () => `t${++n}` });
  await settle();
  assert.deepEqual(t.server.peer.take(), [{ op: 'hello', token: 't1' }]);
  t.server.peer.say({ op: 'error', code: 'unauthorized', reason: 'no' });
  await t.clock.until(() => t.server.peers.length === 2);
  assert.deepEqual(t.server.peer.take(), [{ op: 'hello', token: 't2' }]);
  t.server.peer.say({ op: 'bye', code: 'expired' });
  await settle();
  assert.equal(t.client.status.phase, 'closed');
  assert.equal(t.client.status.error.code, 'expired');
  await assert.rejects(t.client.join('42'), { code: 'expired' });
  assert.equal(t.clock.size, 0, 'timers are left');
});

test('a token is refreshed before it expires', async () => {
  let n = 0;
  const t = start({ token: async () => `t${++n}` });
  await settle();
  t.server.peer.onping = () => t.server.peer.say({ op: 'pong', at: t.clock.time });
  t.server.peer.say({ ...WELCOME, expires_ms: 100_000 });
  t.server.peer.take();
  await t.clock.advance(79_000);
  assert.deepEqual(t.server.peer.take(), []);
  await t.clock.advance(2_000);
  const [q] = t.server.peer.take();
  assert.deepEqual([q.op, q.token], ['refresh', 't2']);
  t.server.peer.say({ ...WELCOME, id: q.id, expires_ms: 100_000 });
  await t.clock.advance(81_000);
  assert.equal(t.server.peer.take()[0].token, 't3');
  assert.equal(t.server.peers.length, 1);
});

test('a request refused as expired goes on over the next connection', async () => {
  const t = start({ token: async () => 't' });
  await settle();
  t.server.peer.say(WELCOME);
  t.server.peer.take();
  const { room } = await enter(t);
  const sent = outcome(room.send('chat', 'a'));
  await settle();
  const [q] = t.server.peer.take();
  t.server.peer.say({ op: 'error', id: q.id, code: 'expired' });
  await t.clock.until(() => t.server.peers.length === 2);
  t.server.peer.say(WELCOME);
  await settle();
  t.server.peer.say(joined(t.server.peer.take().at(-1)));
  await settle();
  const [again] = t.server.peer.take();
  assert.equal(again.cid, q.cid);
  t.server.peer.say({ op: 'ack', id: again.id, status: 'ok' });
  await settle();
  assert.equal(sent.value.status, 'ok');
});

test('a token callback that fails or hangs is tried again, and tells no secrets', async () => {
  let n = 0;
  const t = start({ token: ({ signal }) => (n++ ? new Promise((_, no) => signal.addEventListener('abort', () => no(signal.reason))) : Promise.reject(new Error('secret'))) });
  await settle();
  assert.equal(t.client.status.error.code, 'token_failed');
  assert.ok(!t.client.status.error.message.includes('secret'));
  assert.ok(await t.clock.until(() => n >= 3));
  assert.equal(t.client.status.phase, 'connecting');
  t.client.close();
  const final = start({ token: async () => { throw new ImError('forbidden', 'banned'); } });
  await settle();
  assert.equal(final.client.status.error.code, 'forbidden');
});

test('the advice of the server is kept, also when the page becomes visible', async () => {
  const t = await online();
  t.server.peer.say({ op: 'bye', code: 'shutdown', retry_ms: 4000 });
  await settle();
  assert.equal(t.client.status.phase, 'waiting');
  assert.equal(t.client.status.retryAt, t.clock.time + 4250);
  t.page.hide(false);
  await t.clock.advance(3_999);
  assert.equal(t.server.peers.length, 1);
  await t.clock.advance(1);
  assert.equal(t.server.peers.length, 2);
});

test('offline: no attempts, and at once when the network is back', async () => {
  const t = await online();
  t.page.navigator.onLine = false;
  t.server.peer.close();
  await t.clock.advance(50_000);
  assert.equal(t.server.peers.length, 1);
  assert.deepEqual([t.client.status.phase, t.client.status.cause], ['paused', 'offline']);
  t.page.online();
  await settle();
  assert.equal(t.server.peers.length, 2);
});

test('hidden for five minutes: paused, and back at once, from where it was', async () => {
  const t = await online();
  const { seen } = await enter(t);
  t.page.hide();
  await t.clock.advance(299_000);
  assert.equal(t.client.status.phase, 'online');
  await t.clock.advance(2_000);
  assert.deepEqual([t.client.status.phase, t.client.status.cause], ['paused', 'hidden']);
  assert.ok(t.server.peer.closed);
  await t.clock.advance(3_600_000);
  assert.equal(t.server.peers.length, 1);
  t.page.hide(false);
  await settle();
  t.server.peer.say(WELCOME);
  await settle();
  const [q] = t.server.peer.take();
  assert.equal(q.since.seq, 100);
  t.server.peer.say(joined(q));
  assert.deepEqual(kinds(seen), ['reset', 'resumed']);
});

test('hidden: a request wakes the client; what waits for an answer keeps it awake', async () => {
  const t = await online({ pauseHiddenAfter: 20_000 });
  t.server.peer.onping = () => t.server.peer.say({ op: 'pong', at: t.clock.time });
  t.page.hide();
  await t.clock.advance(21_000);
  assert.equal(t.client.status.phase, 'paused');
  const called = outcome(t.client.call('x', null, {}));
  await settle();
  assert.equal(t.server.peers.length, 2);
  t.server.peer.onping = () => t.server.peer.say({ op: 'pong', at: t.clock.time });
  t.server.peer.say(WELCOME);
  await t.clock.advance(30_000);
  assert.equal(t.client.status.phase, 'online');
  const q = t.server.peer.take().at(-1);
  t.server.peer.say({ op: 'ack', id: q.id, status: 'ok' });
  await settle();
  assert.equal(called.value.status, 'ok');
  await t.clock.advance(41_000);
  assert.equal(t.client.status.phase, 'paused');
});

test('latency and the clock of the server', async () => {
  const t = start();
  await settle();
  let way = 40;
  const answer = () => t.clock.setTimeout(() => t.server.peer.say({ op: 'pong', at: t.clock.time - way / 2 + 5_000_000 }), way);
  t.server.peer.onping = answer;
  assert.equal(t.client.latency, undefined);
  t.server.peer.say(WELCOME);
  await t.clock.advance(100);
  assert.equal(t.client.latency, 40);
  assert.equal(t.client.now(), t.clock.time + 5_000_000);
  way = 120;
  await t.clock.advance(25_200);
  assert.equal(t.client.latency, 120);
  way = 40;
  await t.clock.advance(25_200);
  assert.equal(t.client.latency, 110);
  way = 4000;
  t.server.open = (peer) => Object.assign(peer, { onping: () => t.clock.setTimeout(() => peer.say({ op: 'pong', at: 1 }), way) }).open();
  t.server.peer.close();
  await t.clock.until(() => t.server.peers.length === 2);
  t.server.peer.say(WELCOME);
  await t.clock.advance(5_000);
  assert.equal(t.client.latency, 110, 'the first answer on a new connection is left out');
});

test('the first latency, taken while the page loads, counts for eleven seconds only', async () => {
  const t = start();
  await settle();
  let way = 900;
  t.server.peer.onping = () => t.clock.setTimeout(() => t.server.peer.say({ op: 'pong', at: 1 }), way);
  t.server.peer.say(WELCOME);
  await t.clock.advance(1_000);
  assert.equal(t.client.latency, 900);
  way = 40;
  await t.clock.advance(10_100);
  assert.equal(t.client.latency, 40);
  const { pings } = t.server.peer;
  await t.clock.advance(24_000);
  assert.equal(t.server.peer.pings, pings, 'from there on one ping a heartbeat');
});

test('a server without a sign of life is left, but not after a sleep of the machine', async () => {
  const t = start();
  await settle();
  t.server.peer.say(WELCOME);
  await t.clock.advance(10_000);
  assert.equal(t.client.status.phase, 'waiting');
  assert.match(t.client.status.error.reason, /sign of life/);
  const s = start();
  await settle();
  s.server.peer.say(WELCOME);
  s.clock.skip(3_600_000);
  s.server.peer.onping = () => s.server.peer.say({ op: 'pong', at: 1 });
  await s.clock.advance(20_000);
  assert.equal(s.client.status.phase, 'online');
});

test('the network has changed: a dead connection is found at once', async () => {
  const t = await online();
  t.server.peer.onping = () => t.server.peer.say({ op: 'pong', at: 1 });
  await t.clock.advance(60_000);
  t.server.peer.onping = null;
  t.page.online();
  await t.clock.advance(5_000);
  assert.notEqual(t.client.status.phase, 'online');
});

test('direct messages, and status in order', async () => {
  const t = await online();
  const got = [];
  t.client.on('direct', (m) => got.push(m.body.text));
  t.server.peer.say({ op: 'direct', kind: 'notice', event: 'd1', at: 1, body: { text: 'for you' } });
  t.server.peer.say({ op: 'direct', kind: 'notice', event: 'd1', at: 1, body: { text: 'for you' } });
  assert.deepEqual(got, ['for you']);
  assert.deepEqual(t.client.user, WELCOME.user);
  t.client.close();
  t.client.close();
  assert.deepEqual(t.statuses.map((s) => s.phase), ['connecting', 'online', 'closed']);
  assert.equal(t.clock.size, 0, 'timers are left');
});

test('close ends everything that waits', async () => {
  const t = await online();
  const { room } = await enter(t);
  const all = [room.send('chat', 1), room.history(), t.client.join('43'), t.client.call('x', null)].map(outcome);
  await settle();
  t.client.close();
  await settle();
  assert.deepEqual(all.map((o) => o.error?.code), ['closed', 'closed', 'closed', 'closed']);
  assert.equal(t.clock.size, 0);
});

test('what is not a message of the protocol ends the connection, not the client', async () => {
  const t = await online();
  t.server.peer.say('{"op":');
  await settle();
  assert.equal(t.client.status.phase, 'waiting');
  const s = await online();
  s.server.peer.say('null', '[]', '7', '{"op":"constructor"}', '{"op":"events"}', '{"op":"events","room":"no"}');
  await settle();
  assert.equal(s.client.status.phase, 'online');
});

test('call: repeated under its cid over the next connection, after an open answer, and when the server goes away', async () => {
  const t = await online();
  const called = outcome(t.client.call('gift.send', null, { n: 3 }));
  await settle();
  const first = t.server.peer.take().at(-1);
  assert.ok(first.cid);
  const again = async () => {
    await t.clock.advance(5_000);
    const q = t.server.peer.take().findLast((q) => q.op === 'gift.send');
    assert.equal(q?.cid, first.cid);
    assert.deepEqual(q.body, first.body);
    return q.id;
  };
  t.server.peer.close();
  await t.clock.advance(5_000);
  t.server.peer.say(WELCOME);
  t.server.peer.say({ op: 'error', id: await again(), code: 'timeout', retry_ms: 1000 });
  t.server.peer.say({ op: 'ack', id: await again(), status: 'unknown' });
  t.server.peer.say({ op: 'error', id: await again(), code: 'shutdown' });
  t.server.peer.say({ op: 'ack', id: await again(), status: 'ok', body: { balance: 7 } });
  await settle();
  assert.deepEqual(called.value, { status: 'ok', event: undefined, cid: first.cid, body: { balance: 7 } });
});
