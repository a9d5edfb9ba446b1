// Two browsers in one room, on each way in turn: what one sends is soon seen by the other.

import assert from 'node:assert/strict';
import test from 'node:test';
import { launch } from './lib/browser.mjs';
import { hubs } from './lib/hub.mjs';
import { enter, WAYS } from './lib/viewer.mjs';

const DANMAKU = 40;
const SOON = 100; // ms, from send() in one browser to the overlay of the other

test('a danmaku is on the overlay of the other browser within 100 ms', async (t) => {
  const newHub = await hubs(t);
  const browsers = [await launch(t), await launch(t)];
  for (const way of WAYS) await t.test(way.name, (t) => pair(t, way, newHub, browsers));
});

async function pair(t, { transports, tls }, newHub, browsers) {
  const hub = await newHub(t, { tls });
  const [ann, ben] = await Promise.all(
    browsers.map((browser, i) => enter(t, browser, hub.url, { room: '42', user: { id: `u${i}`, name: `User ${i}` }, transports })),
  );

  const times = [];
  for (let i = -3; i < DANMAKU; i++) { // the first ones warm up
    const text = `no ${i}`;
    const sent = await ann.do('fly', text);
    await ben.is(`${text} is on the overlay`, (text) => window.bed.sightings[text], { arg: text, timeout: 5_000 });
    const seen = await ben.page.evaluate((text) => window.bed.sightings[text], text);
    if (i >= 0) times.push(seen - sent);
  }
  times.sort((a, b) => a - b);
  const median = times[times.length / 2];
  const soon = times.filter((ms) => ms <= SOON).length;
  t.diagnostic(`${times.length} danmaku: median ${median.toFixed(1)} ms, most ${times.at(-1).toFixed(1)} ms, ${soon} within ${SOON} ms`);
  assert.ok(times[0] > 0, 'the clocks of the two browsers differ');
  assert.ok(median <= SOON, `the median is ${median} ms`);
  assert.ok(soon >= 0.95 * times.length, `only ${soon} of ${times.length} within ${SOON} ms`);

  for (const viewer of [ann, ben]) {
    const { statuses, gaps, error } = await viewer.get('statuses', 'gaps', 'error');
    assert.deepEqual(statuses, ['connecting', transports[0]]);
    assert.deepEqual([gaps, error, viewer.page.faults], [0, undefined, []]);
  }
  await usedOnly(hub, transports[0], tls);
}

/** Which requests reached the hub, as the server has counted them. */
async function usedOnly(hub, transport, tls) {
  const { versions } = await hub.stats();
  const path = { websocket: '/im/ws', sse: '/im/sse', poll: '/im/poll' }[transport];
  const ways = Object.keys(versions).filter((p) => ['/im/ws', '/im/sse', '/im/poll'].includes(p));
  assert.deepEqual(ways, [path]);
  assert.deepEqual(Object.keys(versions[path]), [tls ? 'HTTP/2.0' : 'HTTP/1.1']);
  if (transport !== 'websocket') assert.ok(versions['/im/send'][tls ? 'HTTP/2.0' : 'HTTP/1.1'] >= DANMAKU);
}
