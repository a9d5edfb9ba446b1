// A page of another origin: it works on every path if the hub allows it, and on none if not.

import assert from 'node:assert/strict';
import test from 'node:test';
import { launch } from './lib/browser.mjs';
import { foreignSite } from './lib/foreign.mjs';
import { hubs } from './lib/hub.mjs';
import { enter, open } from './lib/viewer.mjs';

const TRANSPORTS = ['websocket', 'sse', 'poll'];
const user = { id: 'u', name: 'Ann' };
const quick = { fallbackTimeout: 2_000, connectTimeout: 2_000 };

test('pages of other origins', async (t) => {
  const newHub = await hubs(t);
  const browser = await launch(t);
  const origin = await foreignSite(t);

  await t.test('allowed: all transports, POST and history', async (t) => {
    const hub = await newHub(t, { origins: [origin] });
    for (const transport of TRANSPORTS) {
      const viewer = await enter(t, browser, origin, { mount: `${hub.url}/im`, room: transport, user, transports: [transport] });
      const answer = await viewer.page.evaluate(async () => {
        const { status } = await window.bed.room.send('chat', { n: 1 });
        return { status, events: (await window.bed.room.history()).events.length };
      });
      assert.deepEqual(answer, { status: 'ok', events: 1 }, transport);
      await viewer.is('its own message', () => window.bed.kept.length === 1);
      assert.deepEqual(await viewer.page.evaluate(tryAll, [hub.url, transport, user]), {
        module: 'connect', send: 200, history: 200, eventSource: 'refused', socket: 'open', blind: 'opaque', // an EventSource carries no token
      });
      assert.deepEqual(viewer.page.faults, []);
      const { summary } = await viewer.page.evaluate(examine, [hub.url, user]);
      assert.equal(summary.transport, 'websocket');
    }
  });

  await t.test('not allowed: none of them, and nothing has an effect', async (t) => {
    const hub = await newHub(t, { origins: ['https://www.example.com'] });
    for (const transport of TRANSPORTS) {
      const viewer = await open(t, browser, origin, { mount: `${hub.url}/im`, user, transports: [transport], ...quick });
      const outcome = await viewer.page.evaluate((room) => {
        const signal = AbortSignal.timeout(2_500);
        return window.bed.client.join(room, { signal }).then(() => 'joined', ({ name }) => name);
      }, transport);
      assert.equal(outcome, 'TimeoutError', transport); // the client goes on trying
      const { statuses, error } = await viewer.get('statuses', 'error');
      assert.ok(!statuses.includes(transport), `${transport}: ${statuses}`);
      assert.equal(error.code, 'connection_lost', `${transport}: ${JSON.stringify(error)}`); // browsers show a page no more than that
      t.diagnostic(`${transport}: ${error.code}: ${error.reason}`);
      assert.deepEqual(await viewer.page.evaluate(tryAll, [hub.url, transport, user]), {
        module: 'TypeError', send: 'TypeError', history: 'TypeError', eventSource: 'refused', socket: 'refused', blind: 'opaque',
      });
      assert.deepEqual(await hub.history(transport), []);
      const { summary, checks } = await viewer.page.evaluate(examine, [hub.url, user]); // which says what the client cannot
      assert.equal(summary.transport, '');
      const verdict = checks.find(({ name }) => name === 'origin');
      assert.deepEqual([verdict.state, verdict.code], ['fail', 'origin']);
      t.diagnostic(`diagnose: ${verdict.advice?.en}`);
      assert.deepEqual(viewer.page.faults, []);
      await viewer.page.close();
    }
    assert.equal((await hub.stats()).hub.Sessions, 0);
    assert.equal((await hub.stats()).hub.Accepted, 0);
  });
});

/** Has the page's doctor look at the ways to the hub, in the page. */
async function examine([hub, user]) {
  const { diagnose } = await import('/im/diagnose.js');
  return diagnose(`${hub}/im`, { token: btoa(JSON.stringify(user)).replaceAll('=', ''), timeout: 2_000 });
}

/** Tries all ways without the client, in the page. Nothing but the module is something that the client would hide. */
async function tryAll([hub, room, user]) {
  const token = btoa(JSON.stringify(user)).replaceAll('=', '');
  const failed = ({ name }) => name;
  const post = (request, init) => fetch(`${hub}/im/send`, { method: 'POST', body: JSON.stringify(request), ...init });
  const named = { headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' } };
  const opens = (source) =>
    new Promise((resolve) => {
      source.onopen = () => resolve('open');
      source.onerror = () => resolve('refused');
    }).finally(() => source.close());
  return {
    module: await import(`${hub}/im/client.js`).then((m) => Object.keys(m).find((name) => name === 'connect'), failed),
    send: await post({ op: 'ping', id: 1 }, named).then(({ status }) => status, failed),
    history: await post({ op: 'history', id: 2, room }, named).then(({ status }) => status, failed),
    eventSource: await opens(new EventSource(`${hub}/im/sse?room=${room}`, { withCredentials: true })),
    socket: await opens(new WebSocket(`${hub.replace('http', 'ws')}/im/ws`, 'im.v1')),
    // A request that asks for no permission, and whose answer cannot be read.
    blind: await post({ op: 'send', id: 3, room, kind: 'chat', cid: 'blind', body: {} }, { mode: 'no-cors', credentials: 'include' }).then(({ type }) => type, failed),
  };
}
