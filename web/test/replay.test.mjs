// A recorded room by the clock of a player: what is asked for, and what is shown when.

import assert from 'node:assert/strict';
import test from 'node:test';
import { enter, online, settle } from './fakes.mjs';

const BEGIN = 1_764_000_000_000;

/** A room whose server answers history from one danmaku a second, but for a gap from 40 s to 50 s. */
async function recorded(t, options, seconds = 300) {
  const client = await online();
  const { room } = await enter(client);
  const all = Array.from({ length: seconds }, (_, i) => ({ seq: i + 1, id: `e-${i}`, kind: 'danmaku', at: BEGIN + i * 1000, body: { text: `${i}` } }));
  const kept = all.filter(({ seq }) => seq < 41 || seq > 50);
  const asked = [];
  const answer = async () => {
    await settle();
    for (const q of client.server.peer.take()) {
      asked.push(q);
      const found = kept.filter((e) => e.at >= (q.from ?? 0) && e.at < (q.to ?? Infinity) && e.seq > (q.after?.seq ?? 0));
      const events = found.slice(0, Math.min(q.max, 25)); // pages are short, as if they were long in bytes
      client.server.peer.say({ op: 'history', id: q.id, room: '42', epoch: 'e1', events, more: events.length < found.length, next: events.at(-1)?.seq, missed: 0 });
    }
    await settle();
  };
  const serve = async () => {
    for (let i = 0; i < 6; i++) await answer();
  };
  const replay = room.replay(options);
  const shown = [];
  replay.on('event', (e) => shown.push(Number(e.body.text)));
  replay.on('seek', ({ time }) => shown.push(`seek ${time}`));
  t.after(() => client.client.close());
  return { ...client, room, replay, shown, asked, serve, take: () => shown.splice(0) };
}

test('events come when the player is at their time', async (t) => {
  const r = await recorded(t, { from: BEGIN, to: new Date(BEGIN + 100_000) });
  await r.serve();
  r.replay.time(0);
  assert.deepEqual(r.take(), [0]);
  r.replay.time(0.9);
  assert.deepEqual(r.take(), []);
  r.replay.time(2.5);
  r.replay.time(2.5); // paused
  assert.deepEqual(r.take(), [1, 2]);
  const last = () => r.asked.at(-1);
  assert.deepEqual([last().from, last().to, last().kinds], [BEGIN, BEGIN + 100_000, ['danmaku']]);
  assert.equal(r.asked.length, 2, 'it reads half a minute ahead, and no further');
  for (let at = 3; at <= 101; at++) {
    r.replay.time(at);
    await r.serve();
  }
  assert.deepEqual(r.take(), [...Array(98).keys()].map((i) => i + 3).filter((i) => i < 40 || i > 49 && i < 100));
  const before = r.asked.length;
  r.replay.time(103);
  await r.serve();
  assert.equal(r.asked.length, before, 'there is nothing more to ask for');
});

test('a seek, back or ahead, shows nothing of what lies between, and no answer to an older question', async (t) => {
  const r = await recorded(t, { from: BEGIN });
  await r.serve();
  r.replay.time(1);
  assert.deepEqual(r.take(), [0, 1]);
  r.replay.time(200); // a leap
  r.replay.seek(100.499755859375); // before the answer has come
  await r.serve();
  r.replay.time(102);
  assert.deepEqual(r.take(), ['seek 200', 'seek 100.499755859375', 101, 102]);
  assert.ok(r.asked.some((q) => q.from === BEGIN + 100_500 && q.after === undefined), 'the protocol has whole milliseconds');
  r.replay.time(4);
  await r.serve();
  r.replay.time(5);
  assert.deepEqual(r.take(), ['seek 4', 4, 5]);
});

test('without bounds it begins with the first event; what comes too late is left out', async (t) => {
  const r = await recorded(t, {});
  assert.equal(r.replay.start, null);
  r.replay.time(0);
  r.replay.time(4.5);
  await r.serve();
  assert.equal(r.replay.start, BEGIN);
  assert.deepEqual(r.take(), [2, 3, 4]);
});

test('the start of the picture is apart from that of the events', async (t) => {
  const r = await recorded(t, { start: BEGIN - 10_000 });
  await r.serve();
  r.replay.time(4);
  r.replay.time(8);
  assert.deepEqual(r.take(), []);
  r.replay.time(10.5);
  assert.deepEqual(r.take(), [0]);
});

test('it follows a player, until it is let go or closed', async (t) => {
  const frames = [];
  globalThis.requestAnimationFrame = (fn) => frames.push(fn);
  t.after(() => delete globalThis.requestAnimationFrame);
  const frame = () => frames.splice(0).forEach((fn) => fn());
  const r = await recorded(t, { from: BEGIN });
  await r.serve();
  const video = Object.assign(new EventTarget(), { currentTime: 0, seeking: false });
  const go = (currentTime, type) => {
    video.currentTime = currentTime;
    if (type) video.dispatchEvent(new Event(type));
  };
  const detach = r.replay.attach(video);
  go(1);
  frame();
  go(2, 'timeupdate');
  assert.deepEqual(r.take(), [0, 1, 2]);
  go(3, 'seeking'); // a short one
  video.seeking = true;
  frame();
  await r.serve();
  video.seeking = false;
  frame();
  assert.deepEqual(r.take(), ['seek 3', 3]);
  detach();
  go(4, 'timeupdate');
  frame();
  assert.deepEqual([r.take(), frames.length], [[], 0]);
  r.replay.attach(video);
  r.replay.close();
  go(5, 'timeupdate');
  frame();
  assert.deepEqual(r.take().filter((x) => x >= 5), []);
});

test('an error is told; what may be tried again is, after a while', async (t) => {
  const r = await recorded(t, { from: BEGIN });
  const errors = [];
  r.replay.on('error', (error) => errors.push(error.code));
  const refuse = async (code) => {
    await settle();
    for (const q of r.server.peer.take()) r.server.peer.say({ op: 'error', id: q.id, code });
    await settle();
  };
  await refuse('overloaded');
  r.replay.time(0.1);
  await settle();
  assert.deepEqual([errors, r.server.peer.take()], [['overloaded'], []]);
  await r.clock.advance(2001);
  r.replay.time(0.2);
  await refuse('not_found');
  await r.clock.advance(10_000);
  r.replay.time(0.3);
  await settle();
  assert.deepEqual([errors, r.server.peer.take()], [['overloaded', 'not_found'], []]);
});

test('what is deleted is not played, be it read ahead or on its way', async (t) => {
  const r = await recorded(t, { from: BEGIN });
  let seq = 1000;
  const remove = async (body) => {
    const e = { seq: ++seq, id: `d-${seq}`, kind: 'moderation', at: BEGIN, body: { type: 'delete', epoch: 'e1', ...body } };
    r.server.peer.say({ op: 'events', room: '42', prev: r.room.position.seq, to: seq, events: [e] });
    await settle();
  };
  await r.serve();
  const told = [];
  r.room.on('removed', (gone) => told.push(gone.has({ seq: 3, kind: 'danmaku', at: BEGIN + 2000 })));
  await remove({ seqs: [3] });
  r.replay.time(0);
  r.replay.time(3);
  assert.deepEqual(r.take(), [0, 1, 3]);
  const page = r.room.history({ max: 10 });
  await settle();
  await remove({ seqs: [2, 9999] });
  await r.serve();
  assert.deepEqual((await page).events.map((e) => e.seq), [1, 3, 4, 5, 6, 7, 8, 9, 10]);
  assert.deepEqual(told, [true, false]);
});
