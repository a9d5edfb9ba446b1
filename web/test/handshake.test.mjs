// Rooms in the URL of a WebSocket: the handshake joins them, where the server says so.

import assert from 'node:assert/strict';
import test from 'node:test';
import { WELCOME, enter, joined, online, outcome, settle, start, watch } from './fakes.mjs';

const rooms = (peer) => new URL(peer.url).searchParams.getAll('room');
const since = (peer) => new URL(peer.url).searchParams.getAll('since');
const welcome = (...joining) => ({ ...WELCOME, joining });
const quiet = (room, more) => ({ ...joined({ room }), id: undefined, ...more });

/** A client that has asked for rooms before it has connected. */
async function early(names, options) {
  const t = start(options);
  const joins = names.map((name) => outcome(t.client.join(name)));
  await settle();
  return { ...t, joins, peer: t.server.peer };
}

/** Cuts the connection and waits for the next. */
async function again(t) {
  const n = t.server.peers.length;
  t.server.peer.close();
  assert.ok(await t.clock.until(() => t.server.peers.length > n));
  return t.server.peer;
}

test('rooms that are wanted at once are in the handshake, and no join is sent', async () => {
  const t = await early(['42', '直 &']);
  assert.equal(t.peer.protocol, 'im.v1');
  assert.deepEqual(rooms(t.peer), ['42', '直 &']);
  t.peer.say(welcome('42', '直 &'), quiet('42'), quiet('直 &', { epoch: 'e2', seq: 7 }));
  await settle();
  assert.deepEqual(t.peer.take(), []);
  assert.ok(t.joins.every((o) => o.done && !o.error));
  assert.equal(t.joins[1].value.name, '直 &');
  const sent = outcome(t.joins[0].value.send('chat', 'hi'));
  await settle();
  const [q] = t.peer.take();
  t.peer.say({ op: 'ack', id: q.id, status: 'ok', event: 'e' });
  await settle();
  assert.equal(sent.value.status, 'ok');
});

test('a refused room fails its own join, and the connection goes on', async () => {
  const t = await early(['42', 'club', '43']);
  t.peer.say(welcome('42', 'club', '43'), quiet('42'), { op: 'left', room: 'club', code: 'forbidden', reason: 'members only' });
  await settle();
  assert.deepEqual(t.joins.map((o) => o.error?.code ?? o.done), [true, 'forbidden', undefined]);
  assert.equal(t.joins[1].error.reason, 'members only');
  t.peer.say({ op: 'left', room: '43', code: 'overloaded', retry_ms: 700 });
  await settle();
  assert.deepEqual([t.joins[2].error.code, t.joins[2].error.retryAfter], ['overloaded', 700]);
  assert.equal(t.client.status.phase, 'online');
  assert.deepEqual(t.peer.take(), []);
});

test('what the welcome does not name is joined by a message', async () => {
  for (const said of [WELCOME, welcome(), welcome('43')]) {
    const t = await early(['42']);
    assert.deepEqual(rooms(t.peer), ['42']);
    t.peer.say(said);
    await settle();
    const [q] = t.peer.take();
    assert.deepEqual([q.op, q.room], ['join', '42']);
    t.peer.say(joined(q));
    await settle();
    assert.ok(t.joins[0].done && !t.joins[0].error);
  }
});

test('a reconnect resumes by the handshake, with position and tier', async () => {
  const t = await online();
  const { room, seen } = await enter(t, '42', { tier: 'reduced' });
  const peer = await again(t);
  assert.deepEqual([rooms(peer), since(peer), new URL(peer.url).searchParams.get('tier')], [['42'], ['e1.100'], 'reduced']);
  seen.length = 0;
  const sent = outcome(room.send('chat', 'hi'));
  peer.say(welcome('42'));
  await settle();
  assert.deepEqual(peer.take(), [], 'the send waits for the room');
  peer.say(quiet('42', { recovered: true, seq: 101, events: [{ seq: 101, id: 'e-101', kind: 'chat', at: 1, body: 1 }] }));
  await settle();
  assert.deepEqual(seen.map(([type]) => type), ['resumed', 'event']);
  assert.deepEqual(peer.take().map((q) => q.op), ['send']);
  assert.ok(!sent.done);
});

test('a token travels in no URL, so its rooms do not either', async () => {
  const t = await early(['42'], { token: async () => 'tok' });
  assert.equal(new URL(t.peer.url).search, '');
  t.peer.say(WELCOME);
  await settle();
  assert.deepEqual(t.peer.take().map((q) => q.op), ['hello', 'join']);
});

test('the query is short, and holds nothing that the server would refuse as a whole', async () => {
  const many = Array.from({ length: 12 }, (_, i) => `room-${i}`);
  const t = await early(many);
  assert.deepEqual(rooms(t.peer), many.slice(0, 8));
  t.peer.say(welcome(...many.slice(0, 8)));
  await settle();
  assert.deepEqual(t.peer.take().map((q) => q.room), many.slice(8));

  const long = Array.from({ length: 8 }, (_, i) => String(i).repeat(2) + '直'.repeat(42));
  const l = await early(long);
  assert.ok(new URL(l.peer.url).search.length <= 2048);
  assert.deepEqual(rooms(l.peer), long.slice(0, rooms(l.peer).length));
  assert.ok(rooms(l.peer).length > 2);

  const odd = await early(['', 'a\u0007b', 'x'.repeat(129), 'fine']);
  assert.deepEqual(rooms(odd.peer), ['fine']);
  odd.peer.say(welcome('fine'));
  await settle();
  assert.equal(odd.peer.take().length, 3);

  const s = start();
  s.client.join('42', { since: { epoch: '', seq: 1 } }).catch(() => {});
  s.client.join('43', { since: { epoch: 'e', seq: 1.5 } }).catch(() => {});
  s.client.join('44', { since: { epoch: 'e.1', seq: 2 } }).catch(() => {});
  await settle();
  assert.deepEqual([rooms(s.server.peer), since(s.server.peer)], [['44'], ['e.1.2']]);
});

test('a tier that changes while the handshake is under way takes another join', async () => {
  const t = await online();
  const { room } = await enter(t);
  const peer = await again(t);
  const changed = outcome(room.setTier('critical'));
  peer.say(welcome('42'), quiet('42', { recovered: true }));
  await settle();
  const [q] = peer.take();
  assert.deepEqual([q.op, q.tier, q.since.seq], ['join', 'critical', 100]);
  assert.ok(!changed.done);
  peer.say(joined(q));
  await settle();
  assert.ok(changed.done && !changed.error);
});

test('a tier that changes before the answer of the handshake takes another join', async () => {
  const t = await early(['42']);
  t.peer.say(welcome('42'), quiet('42'));
  await settle();
  const peer = await again(t);
  peer.say(welcome('42'));
  await settle();
  const changed = outcome(t.joins[0].value.setTier('critical'));
  await settle();
  const [q] = peer.take();
  assert.deepEqual([q.op, q.tier], ['join', 'critical']);
  peer.say(quiet('42', { recovered: true }));
  await settle();
  assert.ok(!changed.done, 'that was the answer to the first join');
  peer.say(joined(q));
  await settle();
  assert.ok(changed.done && !changed.error);
});

test('a room that was left meanwhile is left at the server', async () => {
  const t = await online();
  const { room } = await enter(t);
  const peer = await again(t);
  await room.leave();
  peer.say(welcome('42'));
  await settle();
  assert.deepEqual(peer.take(), []);
  peer.say(quiet('42', { recovered: true }));
  await settle();
  const [q] = peer.take();
  assert.deepEqual([q.op, q.room], ['leave', '42']);
});

test('a room that was left and joined again takes the join of the new one', async () => {
  const t = await online();
  const { room } = await enter(t);
  const peer = await again(t);
  await room.leave();
  const anew = outcome(t.client.join('42'));
  peer.say(welcome('42'), quiet('42', { recovered: true }));
  await settle();
  const [q] = peer.take();
  assert.deepEqual([q.op, q.since], ['join', undefined]);
  assert.ok(!anew.done);
  peer.say(joined(q));
  await settle();
  const seen = watch(anew.value);
  await t.clock.advance(0);
  assert.deepEqual(seen.map(([type]) => type), ['reset']);
});

test('no answer to the join of a handshake is a timeout', async () => {
  const t = await early(['42']);
  t.peer.onping = () => t.peer.say({ op: 'pong', at: t.clock.time });
  t.peer.say(welcome('42'));
  await settle();
  await t.clock.advance(20_000);
  assert.equal(t.joins[0].error?.code, 'timeout');
  assert.deepEqual(t.peer.take().map((q) => q.op), ['leave']);
});

test('after a handshake with rooms that did not open, the next one is without', async () => {
  const t = start();
  const join = outcome(t.client.join('42'));
  t.server.open = (peer) => (new URL(peer.url).search ? peer.close() : peer.open());
  assert.ok(await t.clock.until(() => t.server.peers.length === 2));
  await settle();
  assert.deepEqual(t.server.peers.map((peer) => rooms(peer)), [['42'], []]);
  t.server.peer.say(WELCOME);
  await settle();
  t.server.peer.say(joined(t.server.peer.take()[0]));
  await settle();
  assert.ok(join.done && !join.error);
  assert.deepEqual(rooms(await again(t)), ['42'], 'it is tried again after that');
});

test('an upgrade names no rooms: the positions go on meanwhile', async () => {
  const t = start({ transports: ['websocket', 'sse'], upgradeAfter: 1000 });
  t.client.join('42').catch(() => {});
  await settle();
  t.server.peer.close();
  t.server.http = (request) => {
    if (request.path !== 'sse') return new Response('[]');
    const body = `data: ${JSON.stringify(WELCOME)}\n\ndata: ${JSON.stringify(quiet('42'))}\n\n`;
    const stream = new ReadableStream({ start: (c) => c.enqueue(new TextEncoder().encode(body)) });
    return new Response(stream, { headers: { 'Content-Type': 'text/event-stream' } });
  };
  assert.ok(await t.clock.until(() => t.client.status.transport === 'sse', 5000));
  const n = t.server.peers.length;
  assert.ok(await t.clock.until(() => t.server.peers.length > n, 5000));
  assert.deepEqual(rooms(t.server.peer), []);
});
