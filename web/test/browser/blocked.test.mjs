// A network that lets one way not through: the page takes the next one, and comes back once the better one is free.

import assert from 'node:assert/strict';
import test from 'node:test';
import { launch } from './lib/browser.mjs';
import { hubs } from './lib/hub.mjs';
import { proxy } from './lib/proxy.mjs';
import { begin, compare, end } from './lib/traffic.mjs';
import { enter } from './lib/viewer.mjs';

const QUICK = { fallbackTimeout: 700, upgradeAfter: 1_000 }; // in place of 4 s and a minute

test('blocked transports', async (t) => {
  const newHub = await hubs(t);
  const browsers = [await launch(t), await launch(t)];

  await t.test('blocked from the beginning', async (t) => {
    const hub = await newHub(t);
    const visit = () => enter(t, browsers[0], hub.url, { room: '42', user: { id: 'u', name: 'Ann' }, ...QUICK });
    for (const [ws, sse, used] of [['pass', 'pass', 'websocket'], ['refuse', 'pass', 'sse'], ['hang', 'hang', 'poll'], ['drop', 'drop', 'poll']]) {
      await hub.block('/im/ws', ws);
      await hub.block('/im/sse', sse);
      const viewer = await visit();
      await viewer.is(`by ${used}`, (used) => window.bed.statuses.includes(used), { arg: used });
      const { statuses } = await viewer.get('statuses');
      assert.deepEqual(statuses, ['connecting', used], `WebSocket: ${ws}, SSE: ${sse}`);
      await viewer.page.close();
    }
  });

  await t.test('blocked and freed while people talk: nothing is missing or doubled', async (t) => {
    const hub = await newHub(t);
    const network = await proxy(t, hub.port);
    const url = new URL(hub.url);
    url.port = network.port;
    const viewers = await Promise.all(
      browsers.map((browser, i) => enter(t, browser, url.href, { room: '42', user: { id: `u${i}`, name: `User ${i}` }, ...QUICK })),
    );
    const talk = await begin(hub, ...viewers);
    const both = async (transport) => {
      for (const viewer of viewers) await viewer.is(`by ${transport}`, (used) => window.bed.status === used, { arg: transport, timeout: 30_000 });
      await talk.goesOn();
      await talk.caughtUp();
    };
    await both('websocket');

    await hub.block('/im/ws', 'refuse');
    network.breakAll(); // what is open would stay open
    await both('sse');

    await hub.block('/im/sse', 'hang');
    network.breakAll();
    await both('poll');

    await hub.block('/im/sse', 'pass');
    await both('sse');
    await hub.block('/im/ws', 'pass');
    await both('websocket');

    await end(hub, viewers[0]);
    const said = await compare(hub, viewers);
    t.diagnostic(`${said.chat} messages, ${said.notices} notices`);
    for (const viewer of viewers) {
      const { resets, statuses } = await viewer.get('resets', 'statuses');
      t.diagnostic(statuses.join(' '));
      assert.equal(resets.length, 1, 'the room has begun anew, in place of going on');
      assert.deepEqual(viewer.page.faults, []);
    }
  });
});
