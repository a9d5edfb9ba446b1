// How long clients wait before they connect again, alone and many at a time
// (row F3 of the reliability list). client/backoff_test.go has the same numbers.

import assert from 'node:assert/strict';
import test from 'node:test';
import { internals } from '../im.js';
import { WELCOME, online, seeded, settle } from './fakes.mjs';

const { Backoff } = internals;

/** A Backoff in a time of its own: wait() is next() and the time that it asks for. */
function timed(random, min = 500, max = 30_000) {
  let time = 0;
  const b = new Backoff(min, max, { random, now: () => time });
  const pass = (ms) => (time += ms);
  const wait = (advice) => {
    const delay = b.next(advice);
    pass(delay);
    return delay;
  };
  return { b, wait, pass, now: () => time };
}

const series = (n, t) => Array.from({ length: n }, () => t.wait());

test('the ceiling doubles to 5 s, and after 30 s on to 30 s', () => {
  const up = [500, 1000, 2000, 4000];
  assert.deepEqual(series(12, timed(() => 1)), [...up, 5000, 5000, 5000, 5000, 5000, 8000, 16_000, 30_000]);
  assert.equal(timed(() => 0).wait(), 0);
  assert.deepEqual(series(6, timed(() => 1, 500, 3000)), [500, 1000, 2000, 3000, 3000, 3000]);
  assert.deepEqual(series(5, timed(() => 1, 8000, 30_000)), [8000, 8000, 8000, 8000, 16_000]);
});

test('the jitter, and the 30 s, come on top of the advice of the server', () => {
  const t = timed(() => 0.5);
  assert.equal(t.wait(20_000), 20_250);
  const late = timed(() => 1);
  late.wait(20_000);
  late.pass(29_000);
  for (let i = 0; i < 6; i++) assert.ok(late.b.next() <= 5000);
});

test('attempts are forgotten only after what lasted', () => {
  const { b } = timed(() => 1);
  b.next();
  b.next(); // the ceiling is 2000
  b.reset(1999);
  assert.equal(b.next(), 2000);
  b.reset(4000);
  assert.equal(b.next(), 500);
});

/** When 5000 clients that are cut at 0 get in, if the server is back after so many milliseconds. */
function storm(down, advice = () => 0) {
  const random = seeded(down + 1);
  return Array.from({ length: 5000 }, () => {
    const t = timed(random);
    t.wait(advice(random));
    while (t.now() < down) t.wait();
    return t.now();
  });
}

/** The fullest 100 ms of the window in relation to its mean. */
function peak(times, from, to) {
  const buckets = new Array(Math.ceil((to - from) / 100)).fill(0);
  const within = times.filter((at) => at >= from && at < to);
  for (const at of within) buckets[Math.floor((at - from) / 100)]++;
  return Math.max(...buckets) / (within.length / buckets.length);
}

// How long the server is down, and the ceiling at which the clients have arrived by then: the window of their return.
for (const [down, window] of [[0, 500], [1000, 2000], [2500, 4000], [5000, 5000], [10_000, 5000], [29_000, 5000], [60_000, 30_000], [300_000, 30_000]]) {
  test(`5000 clients, a server that is back after ${down} ms: evenly over ${window} ms`, (t) => {
    const times = storm(down);
    const inTime = times.filter((at) => at < down + window).length / times.length;
    const last = Math.max(...times) - down;
    const p = peak(times, down, down + window);
    t.diagnostic(`${(inTime * 100).toFixed(1)} % within the window, the last after ${Math.round(last)} ms; the fullest 100 ms ${p.toFixed(2)} times the mean`);
    assert.ok(inTime >= 0.9);
    assert.ok(last <= Math.max(window, 5000));
    assert.ok(p <= 3, `${p}`);
  });
}

test('5000 clients, advised a time within 10 s by a server that is back after 3 s', (t) => {
  const times = storm(3000, (random) => 100 + random() * 10_000);
  const p = peak(times, 3000, 10_600);
  t.diagnostic(`the fullest 100 ms ${p.toFixed(2)} times the mean`);
  assert.ok(p <= 3, `${p}`);
  assert.ok(Math.max(...times) <= 10_600);
});

test('a page that is looked at, or is online again, begins anew', async () => {
  for (const back of [(page) => page.hide(false), (page) => page.online()]) {
    const t = await online();
    t.server.open = (peer) => peer.close();
    t.server.peer.close();
    await t.clock.advance(60_000);
    assert.ok(t.client.status.retryAt - t.clock.time > 1000);
    back(t.page);
    await settle();
    assert.equal(t.client.status.retryAt - t.clock.time, 250);
    t.server.open = (peer) => peer.open();
    await t.clock.advance(250);
    t.server.peer.say(WELCOME);
    assert.equal(t.client.status.phase, 'online');
    t.client.close();
  }
});
