// What breaks while people talk: the network, the server, its memory. Afterwards nothing normal or critical is missing,
// doubled or out of order, or the page was told to begin anew. All ways go through it at the same time.

import assert from 'node:assert/strict';
import test from 'node:test';
import { launch } from './lib/browser.mjs';
import { hubs } from './lib/hub.mjs';
import { proxy } from './lib/proxy.mjs';
import { begin, compare, end } from './lib/traffic.mjs';
import { enter, WAYS } from './lib/viewer.mjs';

test('outages', { concurrency: WAYS.length }, async (t) => {
  const newHub = await hubs(t);
  const browsers = [await launch(t), await launch(t)];
  await Promise.all(WAYS.map((way) => t.test(way.name, (t) => live(t, way, newHub, browsers))));
});

async function live(t, { transports, tls }, newHub, browsers) {
  const hub = await newHub(t, { tls });
  const networks = [await proxy(t, hub.port), await proxy(t, hub.port)];
  const viewers = await Promise.all(
    browsers.map((browser, i) => {
      const url = new URL(hub.url);
      url.port = networks[i].port;
      return enter(t, browser, url.href, { room: '42', user: { id: `u${i}`, name: `User ${i}` }, transports });
    }),
  );
  const [ann, ben] = viewers;
  const talk = await begin(hub, ann, ben);
  const away = (viewer, how) => viewer.is('the client notices', () => !['websocket', 'sse', 'poll'].includes(window.bed.status), how);

  await t.test('the network of the viewer is cut', async () => {
    networks[1].cut();
    await away(ben);
    await talk.goesOn();
    networks[1].restore();
    await talk.caughtUp();
  });

  await t.test('the network of the sender is cut', async () => {
    networks[0].cut();
    await away(ann);
    await ann.is('messages wait', () => window.bed.fates.filter((fate) => !fate).length > 10);
    networks[0].restore();
    await talk.caughtUp();
  });

  await t.test('both are cut for a moment', async () => {
    for (const network of networks) network.breakAll();
    await talk.goesOn();
    await talk.caughtUp();
  });

  await t.test('the browser is offline', async (t) => {
    const { statuses } = await ben.get('statuses');
    for (const viewer of viewers) await viewer.page.context().setOffline(true);
    await ben.is('offline', () => !navigator.onLine);
    await talk.goesOn();
    for (const viewer of viewers) await viewer.page.context().setOffline(false);
    await talk.caughtUp();
    const kept = (await ben.get('statuses')).statuses.length === statuses.length;
    t.diagnostic(`the browser has ${kept ? 'kept' : 'cut'} the connection`);
  });

  await t.test('the network stalls, until a page finds out', async () => {
    for (const network of networks) network.stall();
    await away(ann, { timeout: 30_000 }); // by a request without answer
    if (transports[0] === 'websocket') await away(ben, { timeout: 30_000 }); // streams and polls may be silent for longer
    for (const network of networks) network.restore();
    await talk.caughtUp();
  });

  await t.test('the server is cut off, and is back with what it knew', async () => {
    await hub.restart('close');
    await talk.caughtUp();
  });

  await t.test('the server restarts, and tells its clients when to come back', async () => {
    await hub.restart('shutdown');
    await talk.caughtUp({ timeout: 40_000 });
  });

  await t.test('nothing is missing or doubled', async () => {
    await end(hub, ann);
    const said = await compare(hub, viewers);
    t.diagnostic(`${said.chat} messages, ${said.notices} notices`);
    for (const viewer of viewers) {
      const { resets, resumes } = await viewer.get('resets', 'resumes');
      assert.equal(resets.length, 1, 'the room has begun anew, in place of going on');
      // A poll that fails for a moment is asked again in its session: only the long cut and the restart are sure to end that.
      assert.ok(resumes.length >= (transports[0] === 'poll' ? 2 : 3), `only ${resumes.length} times resumed`);
      assert.deepEqual(viewer.page.faults, []);
    }
  });

  await t.test('another process with an empty memory: the page is told', async () => {
    const { fates } = await ann.get('fates');
    const again = await begin(hub, ann, ben);
    await again.goesOn();
    await hub.replace();
    await hub.notices('42', 60);
    for (const viewer of viewers) await viewer.is('told to begin anew', () => window.bed.resets.length === 2);
    await again.goesOn();
    await again.caughtUp();
    await end(hub, ann);
    await compare(hub, viewers, { from: fates.length + 1 });
  });
}
