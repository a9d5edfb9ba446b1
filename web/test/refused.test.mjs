// WebSockets that do not open for a reason that a browser tells no page: the
// client asks the hub once by HTTP.

import assert from 'node:assert/strict';
import test from 'node:test';
import { ImError } from '../im.js';
import { WELCOME, enter, json, online, settle, start } from './fakes.mjs';

const blocked = (peer) => peer.close();
const says = (code, status, more) => () => json({ op: 'error', code, ...more }, status);

/** A client that was online, and whose WebSockets do not open any more. */
async function shutOut(http, options) {
  const t = await online(options);
  t.server.open = blocked;
  t.server.http = http;
  t.server.peer.close();
  await t.clock.until(() => t.server.peers.length === 2);
  await settle();
  return t;
}

test('a cookie that is not valid any more ends the client as unauthorized, and not only after a while', async () => {
  for (const http of [says('unauthorized', 401), says('expired', 401), () => new Response('sign in', { status: 401 })]) {
    const t = await shutOut(http);
    assert.equal(t.client.status.phase, 'closed');
    assert.equal(t.client.status.error.retry, 'with_token');
    assert.ok(t.client.status.error instanceof ImError);
    const [q] = t.server.requests;
    assert.deepEqual([t.server.requests.length, q.path, q.method, q.body, q.credentials], [1, 'send', 'POST', '{"op":"ping"}', 'include']);
    assert.equal(t.clock.size, 0, 'timers are left');
  }
  const t = start();
  t.server.open = blocked;
  t.server.http = says('unauthorized', 401);
  await settle();
  assert.equal(t.client.status.error.code, 'unauthorized');
  await assert.rejects(t.client.join('42'), { code: 'unauthorized' });
});

test('a WebSocket that tells an error only, as in Node 20', async () => {
  const t = start();
  t.server.open = (peer) => peer.socket.onerror();
  t.server.http = says('unauthorized', 401);
  await settle();
  assert.equal(t.client.status.phase, 'closed');
});

test('with the default transports as well, before another one is tried', async () => {
  const t = await shutOut(says('unauthorized', 401), { transports: ['websocket', 'sse', 'poll'] });
  assert.equal(t.client.status.phase, 'closed');
  assert.deepEqual(t.server.requests.map((r) => r.path), ['send']);
});

test('other words of the hub count as if the WebSocket had said them', async () => {
  const banned = await shutOut(says('forbidden', 403));
  assert.equal(banned.client.status.phase, 'closed');
  const busy = await shutOut(says('overloaded', 503, { retry_ms: 9000 }));
  assert.equal(busy.client.status.error.code, 'overloaded');
  assert.ok(busy.client.status.retryAt - busy.clock.time >= 9000);
});

test('what does not come from the hub, or tells nothing, changes nothing', async () => {
  const answers = [
    () => json([{ op: 'pong', at: 1 }]),
    () => new Response('<html>', { status: 403 }), // something that wants a CSRF token
    () => new Response('<html>', { status: 404 }),
    () => new Response('<html>', { status: 502 }),
    () => Promise.reject(new TypeError('Failed to fetch')),
    () => new Promise(() => {}),
  ];
  for (const http of answers) {
    const t = await shutOut(http);
    await t.clock.advance(10_000);
    assert.equal(t.client.status.phase, 'waiting', `${http}`);
    assert.equal(t.client.status.error.code, 'connection_lost');
    t.client.close();
  }
});

test('the hub is asked at the first failure and at every fourth of those that follow', async () => {
  const t = await shutOut(() => json([{ op: 'pong', at: 1 }]));
  const asked = [];
  for (let n = 2; n <= 10; n++) {
    asked.push(t.server.requests.length);
    await t.clock.until(() => t.server.peers.length > n);
    await settle();
  }
  assert.deepEqual(asked, [1, 1, 1, 1, 2, 2, 2, 2, 3]);
});

test('a WebSocket that was open has said for itself what there is to say', async () => {
  const t = await online();
  t.server.peer.close();
  await settle();
  t.server.open = (peer) => {
    peer.open();
    peer.close();
  };
  await t.clock.advance(5_000);
  assert.equal(t.server.requests.length, 0);
});

test('tokens: not asked for while the hub is down; once for each of two refusals, then the client ends', async () => {
  let n = 0;
  const token = async () => `t${++n}`;
  const t = start({ token });
  t.server.open = blocked;
  await t.clock.advance(30_000);
  assert.equal(n, 0);
  t.server.http = says('unauthorized', 401);
  await t.clock.until(() => t.client.status.phase === 'closed');
  assert.equal(t.client.status.error.code, 'unauthorized');
  assert.equal(n, 2);
  const sent = t.server.requests.slice(-4).map((r) => r.headers.Authorization);
  assert.deepEqual(sent, [undefined, 'Bearer t1', undefined, 'Bearer t2']);
});

test('tokens: a hub that wants one by HTTP and gets it is no reason to end', async () => {
  let n = 0;
  const t = start({ token: async () => `t${++n}` });
  t.server.open = blocked;
  t.server.http = (r) => (r.headers.Authorization ? json([{ op: 'pong', at: 1 }]) : json({ op: 'error', code: 'unauthorized' }, 401));
  await settle();
  assert.equal(t.client.status.phase, 'waiting');
  assert.equal(n, 1);
  t.server.open = (peer) => peer.open();
  await t.clock.advance(1_000);
  assert.deepEqual(t.server.peer.take(), [{ op: 'hello', token: 't2' }]);
  t.server.peer.say(WELCOME);
  await enter(t);
});

test('close, or a page that is hidden, ends the question', async () => {
  for (const end of [(t) => t.client.close(), (t) => t.page.window.dispatchEvent(new Event('pagehide'))]) {
    const t = await shutOut(() => new Promise(() => {}));
    assert.equal(t.client.status.phase, 'connecting');
    end(t);
    await settle();
    assert.ok(t.server.requests[0].signal.aborted);
    assert.notEqual(t.client.status.phase, 'connecting');
    assert.equal(t.clock.size, 0);
  }
});
