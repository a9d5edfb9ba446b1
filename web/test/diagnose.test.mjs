// What the doctor finds, by fault. A hub stands in for the server, and each test puts something in its way.

import assert from 'node:assert/strict';
import test from 'node:test';
import { CHECKS, diagnose, summarize } from '../diagnose.js';

const ORIGIN = 'https://example.org';
globalThis.location = { href: `${ORIGIN}/im/doctor`, origin: ORIGIN, protocol: 'https:' };

const TOKEN = 'secret-token/1';
const WELCOME = { op: 'welcome', sid: 's1', user: { id: 'u1', name: 'Ann', roles: [] }, heartbeat_ms: 25_000, protocol: 1 };
const REFUSED = { unauthorized: 401, expired: 401, forbidden: 403, origin: 403, not_found: 404, overloaded: 503, shutdown: 503 };

/** Time that passes as soon as nothing else happens. */
class Clock {
  time = 1_000_000;
  timers = new Map();
  last = 0;
  now = () => this.time;
  date = () => 1_790_000_000_000 + this.time;
  setTimeout = (fn, ms) => (this.timers.set(++this.last, { at: this.time + ms, fn }), this.last);
  clearTimeout = (id) => this.timers.delete(id);

  /** Lets time pass until the promise has an outcome. */
  async see(promise) {
    let done = false;
    const end = () => (done = true);
    promise.then(end, end);
    for (;;) {
      for (let i = 0; i < 8; i++) await new Promise(setImmediate);
      if (done) return promise;
      const [id, timer] = [...this.timers].reduce((a, b) => (a[1].at <= b[1].at ? a : b));
      this.timers.delete(id);
      this.time = Math.max(this.time, timer.at);
      timer.fn();
    }
  }
}

let clock; // of the test that runs
test.beforeEach(() => (clock = new Clock()));

const pause = (ms) => new Promise((resolve) => clock.setTimeout(resolve, ms));
const forever = () => new Promise(() => {});
const json = (body, status = 200, headers = {}) =>
  new Response(JSON.stringify(body), { status, headers: { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', ...headers } });
const page = (status, text = '<h1>no</h1>') => new Response(text, { status, headers: { 'Content-Type': 'text/html' } });
const error = (code, more) => json({ op: 'error', code, reason: 'because', ...more }, REFUSED[code]);
const network = () => Promise.reject(new TypeError('fetch failed'));

/** A stream of the given pieces, each after so many milliseconds; it stays open unless it is told to end. */
function stream(pieces, { headers = {}, end = false } = {}) {
  const body = new ReadableStream({
    async start(controller) {
      for (const [ms, text] of pieces) {
        await pause(ms);
        controller.enqueue(new TextEncoder().encode(text));
      }
      if (end) controller.close();
    },
  });
  return new Response(body, { headers: { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store', ...headers } });
}

const RETRY = 'retry: 1000\n\n';
const HELLO = `data: ${JSON.stringify(WELCOME)}\n\n`;

/** A hub in good health, with what `ill` puts in its place: answers by path, and what a WebSocket does. */
class Hub {
  requests = [];

  constructor(ill = {}) {
    Object.assign(this, { skew: 0, ...ill });
    const hub = this;
    this.WebSocket = class {
      constructor(url, protocol) {
        assert.match(url, /^wss?:.*\/im\/ws$/);
        assert.equal(protocol, 'im.v1');
        hub.socket = this;
        queueMicrotask(() => (hub.handshake ?? ((s) => s.onopen?.({})))(this));
      }
      send(text) {
        queueMicrotask(() => (hub.take ?? hub.answer)(this, JSON.parse(text), hub));
      }
      close() {}
    };
  }

  answer(socket, q, hub) {
    const m = q.op === 'hello' ? WELCOME : { op: 'pong', id: q.id, at: clock.date() + hub.skew };
    socket.onmessage?.({ data: JSON.stringify(m) });
  }

  fetch = async (url, init) => {
    const { pathname, searchParams } = new URL(url);
    const path = pathname.replace('/im/', '');
    this.requests.push({ url, ...init });
    return (this[`/${path}`] ?? this[path])?.call(this, searchParams, init) ?? page(404);
  };

  async poll(query) {
    if (!query.get('sid')) return json([WELCOME]);
    await pause(Number(query.get('wait')));
    return json([]);
  }

  sse = () => stream([[0, RETRY], [0, HELLO]]);
  send = () => json([{ op: 'pong', id: 1, at: clock.date() + this.skew }]);
  ws = () => json({ op: 'error', code: 'bad_request' }, 426);
  'client.js' = () => new Response('', { headers: { 'Content-Type': 'text/javascript' } });
}

async function examine(ill, options = {}) {
  const hub = new Hub(ill);
  const told = [];
  const defaults = { timeout: 400, WebSocket: hub.WebSocket, fetch: hub.fetch, onresult: (c) => told.push(c.name), env: clock };
  const report = await clock.see(diagnose(options.mount ?? '/im', { ...defaults, ...options }));
  assert.equal(clock.timers.size, 0, 'no timer is left');
  assert.deepEqual(report.checks.map((c) => c.name), CHECKS);
  assert.deepEqual([...told].sort(), [...CHECKS].sort(), 'each check is told once');
  for (const c of report.checks) {
    assert.equal(c.ok, c.state === 'skip' ? null : c.state === 'pass', c.name);
    assert.equal(!!c.advice, c.state === 'warn' || c.state === 'fail', `${c.name}: advice`);
    if (!c.advice) continue;
    assert.match(c.advice.zh, /[\u4e00-\u9fff]/);
    assert.doesNotMatch(c.advice.en + c.advice.zh, /\{\w+\}|undefined/, `${c.name}: a value is missing`);
  }
  const by = Object.fromEntries(report.checks.map((c) => [c.name, c]));
  return { report, by, hub, summary: report.summary };
}

/** The checks that are not well, as "name: code". */
const troubles = (report) => report.checks.filter((c) => c.advice).map((c) => `${c.name}: ${c.code}`);

test('all is well', async () => {
  const { report, summary, by } = await examine({}, { token: TOKEN });
  assert.deepEqual(troubles(report), []);
  assert.deepEqual(report.checks.filter((c) => c.state !== 'pass'), []);
  assert.equal(summary.transport, 'websocket');
  assert.equal(summary.quality, 'good');
  assert.equal(report.mount, 'https://example.org/im');
  assert.equal(report.page.origin, ORIGIN);
  assert.equal(report.clock.skewMs, 0);
  assert.match(by.websocket_latency.detail, /^pings: 0, 0, 0 ms$/);
  assert.deepEqual(JSON.parse(JSON.stringify(report)), report);
});

test('the token goes in the header and in hello, and is nowhere in the report', async () => {
  for (const token of [TOKEN, async () => TOKEN]) {
    const echo = (code) => json({ op: 'error', code, reason: `bad ${TOKEN} or ${encodeURIComponent(TOKEN)}` }, 401);
    const { report, hub } = await examine({ '/poll': () => echo('unauthorized'), '/send': () => echo(`x ${TOKEN}`) }, { token, mount: `/im?token=${TOKEN}` });
    assert.doesNotMatch(JSON.stringify(report), /secret-token/);
    assert.ok(hub.requests.every((r) => !r.url.includes('secret') && r.headers.Authorization === `Bearer ${TOKEN}`));
  }
});

test('without a token nothing is said of one', async () => {
  const { hub } = await examine({ take: (socket, q, h) => (assert.equal(q.op, 'ping'), h.answer(socket, q, h)) });
  assert.ok(hub.requests.every((r) => !('Authorization' in r.headers)));
});

// What is in the way, what is found, words that the advice must have, and what a client is left with.
const FAULTS = [
  ['nothing answers', { fetch: network }, ['reach: unreachable'], /certificate/, ''],
  ['the answer never comes', { fetch: forever }, ['reach: timeout'], /400 ms/, ''],
  ['the proxy has no rule', { fetch: async () => page(404), handshake: (s) => s.onclose({ code: 1006 }) },
    ['reach: no_route', 'websocket: no_route', 'sse: no_route', 'poll: no_route', 'post: no_route'], /proxy_pass.*reverse_proxy/s, ''],
  ['the server is down', { fetch: async () => page(502), handshake: (s) => s.onclose({ code: 1006 }) },
    ['reach: bad_gateway', 'websocket: bad_gateway', 'sse: bad_gateway', 'poll: bad_gateway', 'post: bad_gateway'], /HTTP 502/, ''],
  ['a web app answers', { '/poll': () => page(200) }, ['reach: not_hub', 'poll: not_hub'], /fall-back/, 'websocket'],
  ['a login wall', { '/poll': () => page(403) }, ['reach: gate', 'poll: gate'], /firewall/, 'websocket'],
  ['a redirect to a login page', { '/poll': () => Object.defineProperty(page(200), 'redirected', { value: true }) }, ['reach: redirected', 'poll: redirected'], /login page/, 'websocket'],
  ['no StripPrefix', { '/poll': () => error('not_found') }, ['reach: not_found', 'poll: not_found'], /StripPrefix/, 'websocket'],
  ['the hub is full', { '/poll': () => error('overloaded') }, ['reach: overloaded', 'poll: overloaded'], /busy/, 'websocket'],
  ['a code of the host', { '/poll': () => json({ op: 'error', code: 'no_ticket' }, 403) }, ['reach: no_ticket', 'poll: no_ticket'], /no_ticket/, 'websocket'],

  ['the origin is refused', { '/send': () => error('origin'), handshake: (s) => s.onclose({ code: 1006 }) },
    ['origin: origin', 'websocket: origin', 'post: origin'], /Host \$http_host.*Options\.Origins/, ''],
  ['no identity', { '/poll': () => error('unauthorized'), '/sse': () => error('unauthorized'), '/send': () => error('unauthorized') }, ['identity: unauthorized'], /Sign in/, ''],
  ['an expired token', { '/poll': () => error('expired'), '/sse': () => error('expired'), '/send': () => error('expired') }, ['identity: expired'], /fresh token/, ''],
  ['the user is refused', { '/poll': () => error('forbidden'), '/sse': () => error('forbidden'), '/send': () => error('forbidden') }, ['identity: forbidden'], /Authenticator/, ''],

  ['the upgrade is blocked', { handshake: (s) => s.onclose({ code: 1006 }) }, ['websocket: upgrade_blocked'], /proxy_http_version 1\.1.*Upgrade \$http_upgrade.*"upgrade"/, 'sse'],
  ['the upgrade is swallowed', { handshake: () => {} }, ['websocket: upgrade_blocked'], /CDN/, 'sse'],
  ['no rule for /ws', { handshake: (s) => s.onclose({ code: 1006 }), '/ws': () => page(404) }, ['websocket: no_route'], /rule/, 'sse'],
  ['502 for /ws', { handshake: (s) => s.onclose({ code: 1006 }), '/ws': () => page(502) }, ['websocket: bad_gateway'], /HTTP 502/, 'sse'],
  ['a firewall for /ws', { handshake: (s) => s.onclose({ code: 1006 }), '/ws': () => page(403) }, ['websocket: gate'], /refuses \/im\/ws/, 'sse'],
  ['the network cuts /ws', { handshake: (s) => s.onclose({ code: 1006 }), '/ws': network }, ['websocket: ws_network'], /antivirus/, 'sse'],
  ['the server restarts', { handshake: (s) => s.onclose({ code: 1006 }), '/ws': () => error('shutdown') }, ['websocket: shutdown'], /restarts/, 'sse'],
  ['the socket is silent', { take: () => {} }, ['websocket: ws_silent'], /proxy_buffering off/, 'sse'],
  ['the socket is cut', { take: (s) => s.onclose({ code: 1006 }) }, ['websocket: ws_silent'], /inspection/, 'sse'],
  ['the socket ends in a restart', { take: (s) => s.onclose({ code: 1012 }) }, ['websocket: shutdown'], /restarts/, 'sse'],

  ['a proxy holds the stream back', { '/sse': () => stream([]) }, ['sse: sse_buffered'], /proxy_buffering off.*flush_interval -1/s, 'websocket'],
  ['a proxy holds the head back', { '/sse': forever }, ['sse: sse_buffered'], /X-Accel-Buffering/, 'websocket'],
  ['the welcome is held back', { '/sse': () => stream([[0, RETRY]]) }, ['sse: sse_buffered'], /flush_interval/, 'websocket'],
  ['the stream comes late, all at once', { '/sse': () => stream([[160, RETRY + HELLO]]) }, ['sse: sse_buffered'], /flush_interval/, 'websocket'],
  ['the stream is cut', { '/sse': () => stream([[0, RETRY]], { end: true }) }, ['sse: sse_cut'], /TimeoutHandler/, 'websocket'],
  ['the stream is cut behind the welcome', { '/sse': () => stream([[0, RETRY + HELLO]], { end: true }) }, ['sse: sse_cut'], /TimeoutHandler/, 'websocket'],
  ['no stream', { '/sse': () => page(200) }, ['sse: not_hub'], /fall-back/, 'websocket'],

  ['polls do not wait', { '/poll': (q) => json(q.get('sid') ? [] : [WELCOME]) }, ['poll: poll_early'], /cache/, 'websocket'],
  ['polls are cut', { '/poll': (q) => (q.get('sid') ? page(504) : json([WELCOME])) }, ['poll: poll_cut'], /proxy_read_timeout/, 'websocket'],
  ['polls break', { '/poll': (q) => (q.get('sid') ? network() : json([WELCOME])) }, ['poll: poll_cut'], /25 s/, 'websocket'],
  ['polls come late', { '/poll': async (q) => (q.get('sid') ? (await pause(360), json([])) : json([WELCOME])) }, ['poll: poll_late'], /200 ms/, 'websocket'],
  ['POST is not let through', { '/send': () => page(405) }, ['post: no_method'], /OPTIONS/, 'websocket'],
  ['POST leads elsewhere', { '/send': () => json([]) }, ['post: not_hub'], /\/im\/send/, 'websocket'],

  ['a proxy rewrites Cache-Control', { '/sse': () => stream([[0, RETRY + HELLO]], { headers: { 'Cache-Control': 'max-age=60' } }) }, ['headers: cache_control'], /expires/, 'websocket'],
  ['a cache answers', { '/send': () => json([{ op: 'pong', id: 1 }], 200, { Age: '7' }) }, ['headers: cached'], /proxy_cache off/, 'websocket'],
  ['a proxy compresses the stream', { '/sse': () => stream([[0, RETRY + HELLO]], { headers: { 'Content-Encoding': 'gzip' } }) }, ['headers: transformed'], /gzip_types/, 'websocket'],
  ['the clocks differ', { skew: 5000 }, ['clock: clock'], /5\.0 s.*NTP/, 'websocket'],
];

for (const [name, ill, found, advice, left] of FAULTS) {
  test(name, async () => {
    const { report, summary } = await examine(ill);
    assert.deepEqual(troubles(report), found);
    const [first] = report.checks.filter((c) => c.advice);
    assert.match(first.advice.en, advice);
    assert.equal(summary.transport, left);
    assert.equal(summary.quality === 'none', left === '');
    assert.notEqual(summary.quality, 'good');
  });
}

test('a page over HTTPS and a hub over HTTP', async () => {
  for (const mount of ['http://hub.example/im', 'ws://hub.example/im']) {
    const { report, hub, by } = await examine({}, { mount });
    assert.deepEqual(troubles(report), ['page: mixed_content']);
    assert.match(by.page.advice.en, /HTTPS/);
    assert.equal(hub.requests.length, 0);
  }
  const { by } = await examine({}, { mount: 'http://localhost:8080/im' });
  assert.equal(by.page.state, 'pass');
});

test('a foreign hub that does not allow the page', async () => {
  const hub = new Hub({ handshake: (s) => s.onclose({ code: 1006 }) });
  const fetch = (url, init) => (init.mode === 'no-cors' ? Promise.resolve(new Response()) : network());
  const report = await clock.see(diagnose('https://hub.example/im', { timeout: 400, WebSocket: hub.WebSocket, fetch, env: clock }));
  assert.deepEqual(troubles(report), ['origin: origin', 'websocket: origin', 'sse: origin', 'poll: origin', 'post: origin']);
  assert.match(report.checks[2].advice.en, /"https:\/\/example\.org" to Options\.Origins/);
  assert.match(report.checks[2].advice.zh, /Options\.Origins/);
});

test('a device that is offline', async () => {
  const before = Object.getOwnPropertyDescriptor(globalThis, 'navigator');
  Object.defineProperty(globalThis, 'navigator', { value: { onLine: false, userAgent: 'x' }, configurable: true });
  try {
    const { report } = await examine({ fetch: network });
    assert.deepEqual(troubles(report), ['reach: offline']);
    assert.equal(report.page.online, false);
  } finally {
    if (before) Object.defineProperty(globalThis, 'navigator', before);
    else delete globalThis.navigator;
  }
});

test('the policy of the page blocks the connection', async () => {
  globalThis.document = Object.assign(new EventTarget(), { baseURI: location.href });
  try {
    const blocked = () => (clock.setTimeout(() => document.dispatchEvent(new Event('securitypolicyviolation')), 0), network());
    const { report, by } = await examine({ fetch: blocked });
    assert.deepEqual(troubles(report), ['reach: csp']);
    assert.match(by.reach.advice.en, /connect-src.*https:\/\/example\.org\/im/);
  } finally {
    delete globalThis.document;
  }
});

test('no WebSocket in the browser', async () => {
  const { report, summary } = await examine({}, { WebSocket: null });
  assert.deepEqual(troubles(report), ['websocket: no_websocket']);
  assert.equal(summary.transport, 'sse');
});

test('only polls get through', async () => {
  const { summary } = await examine({ handshake: (s) => s.onclose({ code: 1006 }), '/sse': () => stream([]) });
  assert.equal(summary.transport, 'poll');
  assert.equal(summary.quality, 'poor');
});

test('the token is refused over WebSocket as well', async () => {
  const refuse = () => error('expired');
  const take = (s) => s.onmessage({ data: JSON.stringify({ op: 'error', code: 'expired' }) });
  const { report, by } = await examine({ '/poll': refuse, '/sse': refuse, '/send': refuse, take }, { token: TOKEN });
  assert.deepEqual(troubles(report), ['identity: expired']);
  assert.equal(by.websocket.state, 'pass');
  assert.equal(by.websocket_latency.state, 'skip');
  assert.equal(by.origin.state, 'pass');
});

test('a proxy takes the Authorization header away', async () => {
  const refuse = () => error('unauthorized');
  const { report, by, summary } = await examine({ '/poll': refuse, '/sse': refuse, '/send': refuse }, { token: TOKEN });
  assert.deepEqual(troubles(report), ['identity: stripped']);
  assert.match(by.identity.advice.en, /\$http_authorization/);
  assert.equal(summary.transport, 'websocket');
});

test('a token that cannot be fetched', async () => {
  const { report } = await examine({}, { token: () => Promise.reject(new Error('503')) });
  assert.deepEqual(troubles(report), ['identity: token_failed']);
});

test('the latency is the median, and slow ways are told', async () => {
  let n = 0;
  const take = async (s, q, hub) => {
    await pause([5, 450, 420][n++]);
    hub.answer(s, q, hub);
  };
  const { report, by, summary } = await examine({ take }, { timeout: 1000 });
  assert.deepEqual(troubles(report), ['websocket_latency: slow']);
  assert.equal(by.websocket_latency.ms, 420);
  assert.match(by.websocket_latency.advice.zh, /420 毫秒/);
  assert.equal(summary.quality, 'poor');
});

test('the Date header tells the time if nothing else does', async () => {
  const headers = { Date: new Date(clock.date() - 60_000).toUTCString() };
  const { report } = await examine({ '/poll': (q) => json(q.get('sid') ? [WELCOME] : [WELCOME], 200, headers), '/send': () => page(405), take: () => {} });
  assert.ok(Math.abs(report.clock.skewMs + 60_000) < 2000, `${report.clock.skewMs}`);
  assert.ok(troubles(report).includes('clock: clock'));
});

test('hostile answers break nothing', async () => {
  const odd = { op: 'error', code: '__proto__', reason: { a: 1 } };
  const { report } = await examine({ '/poll': () => json(odd, 400), '/send': () => json([null, 1]), '/sse': () => json({ op: 'error', code: ['x'] }, 500), take: (s) => s.onmessage({ data: 'nonsense' }) });
  assert.equal(report.summary.transport, '');
  JSON.stringify(report);
});

test('what a summary says by the latency, and of nothing', () => {
  const grade = (ms) => summarize({ checks: CHECKS.map((name) => ({ name, state: 'pass', ms })) });
  assert.deepEqual([10, 150, 151, 400, 401].map((ms) => grade(ms).quality), ['good', 'good', 'fair', 'fair', 'poor']);
  assert.match(grade(200).en, /WebSocket, 200 ms.*not quick/);
  assert.match(grade(200).zh, /WebSocket，往返 200 毫秒/);
  assert.equal(summarize({ checks: [] }).quality, 'none');
});
