// The choice of a transport, server-sent events, long-poll, POST.

import assert from 'node:assert/strict';
import test from 'node:test';
import { Stream, WELCOME, joined, json, outcome, settle, start, watch } from './fakes.mjs';

const ALL = ['websocket', 'sse', 'poll'];
const blocked = (peer) => peer.close();
const silent = () => {};
const kinds = (seen) => seen.map(([type, e]) => (type === 'event' ? e.seq : type));
const event = (seq) => ({ seq, id: `e-${seq}`, kind: 'chat', at: 1, body: {} });

/** A server whose streams and polls the test answers by hand; POSTs get answer(call). */
function byHTTP(t, answer = () => undefined) {
  const http = { streams: [], polls: [], posts: [] };
  t.server.http = (request) => {
    if (request.path === 'send') {
      http.posts.push(request);
      return json(request.calls.map((q) => (q.op === 'ping' ? { op: 'pong', at: 1 } : answer(q))).filter(Boolean));
    }
    if (request.path === 'sse') {
      const stream = new Stream(request);
      http.streams.push(stream);
      return stream.response;
    }
    return new Promise((resolve, reject) => {
      http.polls.push({ request, say: (...messages) => resolve(json(messages)), reject });
    });
  };
  return http;
}

async function streaming(options, answer) {
  const t = start({ transports: ['sse'], ...options });
  Object.assign(t, byHTTP(t, answer));
  await settle();
  t.streams[0].say(WELCOME);
  await settle();
  return t;
}

async function polling(options, answer) {
  const t = start({ transports: ['poll'], ...options });
  Object.assign(t, byHTTP(t, answer));
  await settle();
  t.polls[0].say(WELCOME);
  await settle();
  return t;
}

test('WebSocket, then server-sent events, then long-poll, without a wait in between', async () => {
  const t = start({ transports: ALL });
  t.server.open = blocked;
  const polls = [];
  t.server.http = (r) => (r.path === 'sse' ? new Response('<html>', { headers: { 'Content-Type': 'text/html' } }) : new Promise((resolve) => polls.push(resolve)));
  await settle();
  assert.equal(polls.length, 1);
  polls[0](json([WELCOME]));
  await settle();
  assert.deepEqual(t.client.status, { phase: 'online', transport: 'poll' });
  assert.equal(t.clock.time, 1_000_000);
  assert.equal(t.storage.get('im.transport'), 'poll');
});

test('a WebSocket that does not open, or a stream whose bytes do not come: 4 seconds each', async () => {
  const t = start({ transports: ALL });
  t.server.open = silent;
  const http = byHTTP(t);
  await t.clock.advance(3_999);
  assert.equal(http.streams.length, 0);
  await t.clock.advance(1);
  assert.equal(http.streams.length, 1); // a proxy that buffers
  await t.clock.advance(4_000);
  assert.ok(http.streams[0].aborted);
  assert.equal(http.polls.length, 1);
  assert.ok(t.server.peers[0].closed);
});

test('a slow token is no reason to change the transport, and one serves all attempts', async () => {
  let give;
  let asked = 0;
  const t = start({ transports: ALL, token: () => (asked++, new Promise((resolve) => (give = resolve))) });
  await t.clock.advance(9_000);
  assert.equal(t.server.requests.length, 0);
  const http = byHTTP(t);
  give('tok');
  await settle();
  assert.deepEqual(t.server.peer.take(), [{ op: 'hello', token: 'tok' }]);
  t.server.peer.close();
  await settle();
  assert.equal(http.streams[0].request.headers.Authorization, 'Bearer tok');
  assert.equal(asked, 1);
  for (const r of t.server.requests) assert.ok(!r.url.includes('tok'));
});

test('a refusal with a reason is not taken for a blocked transport', async () => {
  const t = start({ transports: ALL });
  t.server.open = blocked;
  t.server.http = () => json({ op: 'error', code: 'overloaded', reason: 'full', retry_ms: 7000 }, 503);
  await settle();
  assert.deepEqual(t.server.requests.map((r) => r.path), ['sse']);
  assert.equal(t.client.status.error.code, 'overloaded');
  assert.equal(t.client.status.retryAt, t.clock.time + 7250);
  const s = start({ transports: ALL });
  s.server.open = blocked;
  s.server.http = () => json({ op: 'error', code: 'origin' }, 403);
  await settle();
  assert.equal(s.client.status.phase, 'closed');
});

test('Retry-After, in seconds or as a date', async () => {
  const t = start({ transports: ['poll'] });
  t.server.http = () => new Response('busy', { status: 503, headers: { 'Retry-After': '12' } });
  await settle();
  assert.equal(t.client.status.error.retryAfter, 12_000);
  const s = start({ transports: ['poll'] });
  s.server.http = () => new Response('', { status: 429, headers: { 'Retry-After': new Date(Date.now() + 60_000).toUTCString() } });
  await settle();
  assert.ok(s.client.status.error.retryAfter > 55_000);
});

test('a hub without a transport is final only if no other one might work', async () => {
  const missing = () => json({ op: 'error', code: 'not_found' }, 404);
  const t = start({ transports: ALL });
  t.server.open = blocked;
  t.server.http = missing;
  await settle();
  assert.equal(t.client.status.phase, 'waiting');
  assert.equal(t.client.status.error.code, 'connection_lost');
  const s = start({ transports: ['sse', 'poll'] });
  s.server.http = missing;
  await settle();
  assert.equal(s.client.status.error.code, 'not_found');
  assert.equal(s.client.status.phase, 'closed');
});

test('what has worked is tried three times before another one', async () => {
  const t = start({ transports: ALL });
  await settle();
  t.server.peer.say(WELCOME);
  await t.clock.advance(9_000); // and not long enough to count as good
  t.server.open = blocked;
  t.server.peer.close();
  const http = byHTTP(t);
  await t.clock.until(() => http.streams.length);
  assert.equal(t.server.peers.length, 3);
});

test('back up to the better transport, without losing or doubling events', async () => {
  const t = start({ transports: ALL, upgradeAfter: 60_000 });
  t.server.open = blocked;
  const http = byHTTP(t, () => undefined);
  await settle();
  http.streams[0].say(WELCOME);
  const joining = t.client.join('42');
  await settle();
  http.streams[1].say(WELCOME, joined({ room: '42' }));
  const room = await joining;
  const seen = watch(room);
  await t.clock.advance(0);
  http.streams[1].say({ op: 'events', room: '42', prev: 100, to: 101, events: [event(101)] });
  const sent = outcome(room.send('chat', 'a', { cid: 'c' })); // its answer is lost
  await settle();
  t.server.open = silent; // not yet
  for (let i = 0; i < 3; i++) {
    http.streams.at(-1).write(': alive\n\n');
    await t.clock.advance(20_000);
  }
  http.streams.at(-1).say({ op: 'events', room: '42', prev: 101, to: 102, events: [event(102)] });
  await settle();
  const before = t.server.peers.length;
  t.server.open = (peer) => peer.open();
  for (let i = 0; i < 200 && t.server.peers.length === before; i++) {
    http.streams.at(-1).write(': alive\n\n');
    await t.clock.advance(1_000);
  }
  const old = http.streams.at(-1);
  old.say({ op: 'events', room: '42', prev: 102, to: 103, events: [event(103)] }); // goes on meanwhile
  await settle();
  t.server.peer.say(WELCOME);
  await settle();
  assert.ok(old.aborted);
  assert.deepEqual(t.client.status, { phase: 'online', transport: 'websocket' });
  assert.equal(t.storage.has('im.transport'), false);
  const [q] = t.server.peer.take();
  assert.deepEqual(q.since, { epoch: 'e1', seq: 103 });
  t.server.peer.say(joined(q, { seq: 104, events: [event(104)] }));
  await settle();
  assert.deepEqual(kinds(seen), ['reset', 101, 102, 103, 'resumed', 104]);
  const again = t.server.peer.take().find((r) => r.cid === 'c');
  t.server.peer.say({ op: 'ack', id: again.id, status: 'ok' });
  await settle();
  assert.equal(sent.value.status, 'ok');
});

test('a page remembers what worked', async () => {
  const t = start({ transports: ALL, env: { storage: { getItem: () => 'sse', setItem: silent, removeItem: silent } } });
  const http = byHTTP(t);
  await settle();
  assert.equal(http.streams.length, 1);
  assert.equal(t.server.peers.length, 0);
  const s = start({ transports: ALL, env: { storage: { getItem: () => { throw new Error('denied'); } } } });
  await settle();
  assert.equal(s.server.peers.length, 1);
});

test('without WebSocket in the environment the list begins with the next', async () => {
  const t = start({ transports: ALL, env: { WebSocket: undefined } });
  const http = byHTTP(t);
  await settle();
  assert.equal(http.streams.length, 1);
});

test('sse: a join opens the stream anew with the positions of all rooms', async () => {
  const t = await streaming();
  const first = t.client.join('a b&c');
  await settle();
  const q = t.streams[1].request;
  assert.ok(t.streams[0].aborted);
  assert.deepEqual([...q.query], [['sid', 's1'], ['room', 'a b&c'], ['since', ''], ['tier', '']]);
  assert.equal(q.headers.Accept, 'text/event-stream');
  t.streams[1].say(WELCOME, joined({ room: 'a b&c' }));
  const seen = watch(await first);
  await t.clock.advance(0);
  t.streams[1].say({ op: 'events', room: 'a b&c', prev: 100, to: 107, events: [event(105)] });
  await settle();
  const second = t.client.join('43', { tier: 'critical' });
  await settle();
  assert.deepEqual([...t.streams[2].request.query].slice(1), [['room', 'a b&c'], ['since', 'e1.107'], ['tier', ''], ['room', '43'], ['since', ''], ['tier', 'critical']]);
  t.streams[1].say({ op: 'events', room: 'a b&c', prev: 107, to: 108, events: [event(108)] }); // too late, comes again below
  t.streams[2].say(WELCOME, joined({ room: 'a b&c', since: {} }, { seq: 109, missed: 2, events: [event(108), event(109)] }), joined({ room: '43' }));
  const room = await second;
  assert.deepEqual(kinds(seen), ['reset', 105, 'gap', 108, 109]);
  await room.leave();
  await settle();
  assert.deepEqual(t.streams[3].request.query.getAll('room'), ['a b&c']);
});

test('sse: rooms of one moment share a stream; a refused one does not harm the other', async () => {
  const t = await streaming();
  const a = outcome(t.client.join('a'));
  const b = outcome(t.client.join('b'));
  await settle();
  assert.equal(t.streams.length, 2);
  t.streams[1].say(WELCOME, joined({ room: 'a' }), { op: 'left', room: 'b', code: 'forbidden', reason: 'no' });
  await settle();
  assert.equal(a.value.name, 'a');
  assert.equal(b.error.code, 'forbidden');
});

test('sse: after a cut the first stream joins all rooms at once', async () => {
  const t = await streaming();
  const joining = t.client.join('42', { since: { epoch: 'x.y', seq: 7 } });
  await settle();
  t.streams[1].say(WELCOME, joined({ room: '42', since: { seq: 7 } }, { epoch: 'x.y' }));
  const seen = watch(await joining);
  await t.clock.advance(0);
  t.streams[1].cut();
  await t.clock.until(() => t.streams.length === 3);
  assert.equal(t.streams[2].request.query.get('since'), 'x.y.7');
  t.streams[2].say(WELCOME, joined({ room: '42', since: { seq: 7 } }, { epoch: 'x.y' }));
  await t.clock.advance(100);
  assert.equal(t.streams.length, 3);
  assert.deepEqual(kinds(seen), ['resumed', 'resumed']);
});

test('sse: silence without comments is a dead stream, comments are life', async () => {
  const t = await streaming();
  for (let i = 0; i < 20; i++) {
    await t.clock.advance(15_000);
    t.streams[0].write(':\n\n');
    await settle();
  }
  assert.equal(t.streams.length, 1);
  await t.clock.until(() => t.client.status.phase !== 'online', 200_000);
  assert.match(t.client.status.error.reason, /sign of life/);
});

test('sse: a new token opens the stream anew', async () => {
  let n = 0;
  const t = start({ transports: ['sse'], token: async () => `t${++n}` });
  const http = byHTTP(t);
  await settle();
  http.streams[0].say({ ...WELCOME, expires_ms: 30_000 });
  await t.clock.advance(25_000);
  assert.equal(http.streams.length, 2);
  assert.equal(http.streams[1].request.headers.Authorization, 'Bearer t2');
});

test('post: one at a time, in order, with the session and the token', async () => {
  const gates = [];
  const t = start({ transports: ['sse'], token: async () => 'tok' });
  const http = byHTTP(t);
  const open = t.server.http;
  await settle();
  http.streams[0].say(WELCOME);
  await settle();
  t.server.http = (r) => (r.path === 'send' ? new Promise((resolve) => gates.push({ r, resolve })) : open(r));
  const calls = ['a', 'b', 'c'].map((op) => outcome(t.client.call(op, null, {})));
  await settle();
  const later = outcome(t.client.call('d', null, {}));
  await settle();
  assert.equal(gates.length, 1);
  const [{ r, resolve }] = gates;
  assert.equal(r.method, 'POST');
  assert.equal(r.headers.Authorization, 'Bearer tok');
  assert.equal(r.query.get('sid'), 's1');
  assert.deepEqual(r.calls.map((q) => q.op), ['a', 'b', 'c']);
  resolve(json(r.calls.map((q) => ({ op: 'ack', id: q.id, status: 'ok' }))));
  await settle();
  assert.ok(calls.every((o) => o.value?.status === 'ok'));
  assert.deepEqual(gates[1].r.calls.map((q) => q.op), ['d']);
  gates[1].resolve(json([{ op: 'error', id: gates[1].r.calls[0].id, code: 'rate_limited', retry_ms: 900 }], 429));
  await settle();
  assert.equal(later.error.retryAfter, 900);
});

test('post: a refusal of the whole, one that a new token mends, a proxy that fails', async () => {
  const t = await streaming({ token: async () => 't' });
  const open = t.server.http;
  const next = [json({ op: 'error', code: 'too_large' }, 413), json({ op: 'error', code: 'expired' }, 401), new Response('<html>', { status: 502 })];
  t.server.http = (r) => (r.path === 'send' && r.calls[0].op !== 'ping' && next.length ? next.shift() : open(r));
  await assert.rejects(t.client.call('a', null, {}), { code: 'too_large' });
  assert.equal(t.client.status.phase, 'online');
  const b = outcome(t.client.call('b', null, {}, { cid: 'once' }));
  for (const n of [2, 3]) {
    assert.ok(await t.clock.until(() => t.streams.length === n));
    t.streams.at(-1).say(WELCOME);
    await settle();
  }
  assert.deepEqual(t.server.requests.filter((r) => r.calls?.[0].op === 'b').map((r) => r.calls[0].cid), ['once', 'once', 'once']);
  assert.equal(b.done, undefined);
});

test('poll: positions, the session, and a join that does not wait', async () => {
  const t = await polling();
  assert.equal(t.polls[0].request.query.get('sid'), null);
  assert.equal(t.polls[0].request.query.get('wait'), '0');
  assert.deepEqual([...t.polls[1].request.query], [['sid', 's1'], ['wait', '25000']]);
  const joining = t.client.join('42');
  await settle();
  assert.equal(t.polls.length, 3);
  assert.equal(t.polls[2].request.query.get('room'), '42');
  t.polls[1].say({ op: 'direct', event: 'd', kind: 'notice', at: 1 }); // the first is answered at once
  t.polls[2].say(joined({ room: '42' }));
  const room = await joining;
  const seen = watch(room);
  await t.clock.advance(0);
  assert.equal(t.polls.length, 4);
  t.polls[3].say({ op: 'events', room: '42', prev: 100, to: 101, events: [event(101)] });
  await settle();
  assert.equal(t.polls[4].request.query.get('since'), 'e1.101');
  await t.clock.advance(25_000);
  t.polls[4].say();
  await settle();
  assert.equal(t.polls.length, 6);
  t.polls[5].say(joined({ room: '42', since: {} }, { seq: 103, events: [event(101), event(103)] })); // another server answers
  await settle();
  assert.deepEqual(kinds(seen), ['reset', 101, 103]);
  const tier = outcome(room.setTier('critical'));
  await settle();
  const q = t.polls.at(-1).request.query;
  assert.deepEqual([q.get('sid'), q.get('tier'), q.get('since')], [null, 'critical', 'e1.103']);
  t.polls.at(-1).say(WELCOME, joined({ room: '42', since: {} }, { seq: 103 }));
  await settle();
  assert.ok(tier.done && !tier.error);
  await room.leave();
  await settle();
  assert.deepEqual(t.polls.at(-1).request.query.getAll('room'), []);
});

test('poll: something that answers in place of the hub is not asked in a loop', async () => {
  const t = await polling();
  t.server.http = () => json([]);
  t.polls.at(-1).say();
  const before = t.server.requests.length;
  await t.clock.advance(9_000);
  assert.ok(t.server.requests.length - before <= 11);
});

test('close aborts what is under way', async () => {
  for (const t of [await streaming(), await polling()]) {
    const call = outcome(t.client.call('x', null, {}));
    await settle();
    t.client.close();
    await settle();
    assert.equal(call.error.code, 'closed');
    for (const r of t.server.requests) assert.ok(r.path === 'send' || r.signal.aborted);
    assert.equal(t.clock.size, 0);
  }
});
