// What arrives in another order than it was sent, and what must not.

import assert from 'node:assert/strict';
import test from 'node:test';
import { WELCOME, joined, json, outcome, settle, start, watch } from './fakes.mjs';

test('a WebSocket that falls silent: what was sent goes out again over the next one, in its order', async () => {
  const t = start({ transports: ['websocket'] });
  await settle();
  t.server.peer.say({ ...WELCOME, heartbeat_ms: 60_000 });
  const joining = t.client.join('42');
  await settle();
  t.server.peer.say(joined(t.server.peer.take().find((q) => q.op === 'join')));
  const room = await joining;
  await t.clock.advance(0);
  const before = t.server.peers.length;
  const sent = [];
  for (let i = 1; t.server.peers.length === before; i++) {
    assert.ok(i < 40, 'the silence is not noticed');
    sent.push(`c-${i}`);
    outcome(room.send('chat', {}, { cid: sent.at(-1) }));
    await t.clock.advance(1_000);
  }
  await settle();
  t.server.peer.say(WELCOME);
  await settle();
  t.server.peer.say(joined(t.server.peer.take().find((q) => q.op === 'join')));
  await settle();
  const again = t.server.peer.take().filter((q) => q.op === 'send');
  assert.deepEqual(again.map((q) => q.cid), sent);
});

test('poll: the request before a join overtakes the one with it, and puts the client out of the room again', async () => {
  for (const late of [false, true]) { // is the answer with the joined late, too?
    const t = start({ transports: ['poll'] });
    const polls = [];
    t.server.http = (request) => {
      if (request.path === 'send') return json(request.calls.map(() => ({ op: 'pong', at: 1 })));
      return new Promise((resolve) => polls.push({ query: request.query, say: (...messages) => resolve(json(messages)) }));
    };
    await settle();
    polls[0].say(WELCOME);
    await settle();
    const joining = outcome(t.client.join('42'));
    await settle();
    const [, older, newer] = polls;
    assert.deepEqual([older.query.getAll('room'), newer.query.getAll('room')], [[], ['42']]);
    const answers = [() => older.say({ op: 'left', room: '42' }), () => newer.say(joined({ room: '42' }))];
    for (const answer of late ? answers : answers.toReversed()) {
      answer();
      await settle();
    }
    const last = polls.at(-1);
    assert.deepEqual(last.query.getAll('room'), ['42']);
    last.say(joined({ room: '42', since: {} }, { seq: 101, events: [{ seq: 101, id: 'e', kind: 'chat', at: 1, body: {} }] }));
    await settle();
    assert.equal(joining.error, undefined);
    const seen = watch(joining.value);
    await t.clock.advance(0);
    assert.ok(seen.some(([type, e]) => type === 'event' && e.seq === 101));
    t.client.close();
  }
});
