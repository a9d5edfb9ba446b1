// What the flow control does, as a page sees it: late answers in any order, counts, tallies.

import assert from 'node:assert/strict';
import test from 'node:test';
import { enter, online, outcome, settle } from './fakes.mjs';

const say = (t, ...messages) => t.server.peer.say(...messages);

test('answers come up to a second late, in any order, and each to its own send', async () => {
  const t = await online();
  const { room } = await enter(t);
  const sends = ['one', 'two', '666', 'three'].map((text) => outcome(room.send('danmaku', { text })));
  const chat = outcome(room.send('chat', { text: 'hi' }));
  await settle();
  const asked = t.server.peer.take();
  assert.deepEqual(asked.map((q) => q.kind), ['danmaku', 'danmaku', 'danmaku', 'danmaku', 'chat']);
  const done = () => [...sends, chat].map((o) => o.value?.status ?? null);

  say(t, { op: 'ack', id: asked[4].id, status: 'ok', event: 'e-101' });
  await settle();
  assert.deepEqual(done(), [null, null, null, null, 'ok']);
  say(t, { op: 'ack', id: asked[2].id, status: 'merged', event: 'e-90' });
  await settle();
  assert.deepEqual(done(), [null, null, 'merged', null, 'ok']);
  await t.clock.advance(1000);
  say(t, { op: 'ack', id: asked[3].id, status: 'shed', reason: 'too many talk at once' }, { op: 'ack', id: asked[1].id, status: 'ok', event: 'e-102' });
  await t.clock.advance(50);
  say(t, { op: 'ack', id: asked[0].id, status: 'shed', reason: 'its turn did not come within a second' });
  await settle();
  assert.deepEqual(done(), ['shed', 'ok', 'merged', 'shed', 'ok']);
  assert.deepEqual(sends.map((o) => [o.value.event, o.value.reason]), [
    [undefined, 'its turn did not come within a second'], ['e-102', undefined], ['e-90', undefined], [undefined, 'too many talk at once'],
  ]);
  assert.deepEqual(sends.map((o) => o.value.cid), asked.slice(0, 4).map((q) => q.cid));
  assert.deepEqual(t.server.peer.take(), []); // nothing was asked for again meanwhile
});

test('tallies and counts reach the page as the events that they are, also replayed', async () => {
  const tally = (seq, body) => ({ seq, id: `e-${seq}`, kind: 'tally', at: 1, body });
  const t = await online();
  const { room, seen } = await enter(t, '42', {}, { events: [tally(100, { shed: 9 })] });
  const body = { counts: { 'e-101': 5, 'e-90': 41 }, merged: 38, shed: 207 };
  say(t, { op: 'events', room: '42', prev: 100, to: 102, events: [
    { seq: 101, id: 'e-101', kind: 'danmaku', at: 1, n: 3, from: { id: 'u2' }, body: { text: '666' } }, tally(102, body),
  ] });
  const events = seen.filter(([type]) => type === 'event').map(([, e]) => e);
  assert.deepEqual(events.map((e) => [e.seq, e.kind, e.n, Boolean(e.replayed)]), [
    [100, 'tally', undefined, true], [101, 'danmaku', 3, false], [102, 'tally', undefined, false],
  ]);
  assert.deepEqual(events[2].body, body);
  assert.equal(room.position.seq, 102);
  assert.equal(seen.some(([type]) => type === 'state' || type === 'gap'), false);
});
