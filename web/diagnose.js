// Tests each way from this page to a hub, and says in plain words what is wrong and
// what to change. The page at <mount>/doctor shows it; a site may send the
// result to its own support. docs/protocol.md says what goes over the wire.
//
//   import { diagnose } from './diagnose.js'
//   const report = await diagnose('/im', { token })
//
// From the top: the words, the verdict on an answer, a line over WebSocket, the
// checks one after the other, the summary.

/** The names of the checks, in the order of the report. */
export const CHECKS = [
  'page', 'reach', 'origin', 'identity', 'websocket', 'websocket_latency', 'sse', 'sse_latency', 'poll', 'post', 'headers', 'clock',
];

const TRANSPORTS = { websocket: 'websocket', websocket_latency: 'websocket', sse: 'sse', sse_latency: 'sse', poll: 'poll', post: 'post' };

// ---------------------------------------------------------------- words

/** What to change, by code: English, Chinese. {…} is filled in. */
const ADVICE = {
  // The page and the network
  offline: ['This device is offline. Connect it to a network and run the test again.', '当前设备没有联网。请连接网络后重新检测。'],
  mixed_content: [
    'This page came over HTTPS, but the hub is asked over plain HTTP, which browsers block. Serve the hub over HTTPS as well (wss:// for WebSocket), or use a mount without scheme, such as /im.',
    '页面是 HTTPS，而服务地址是明文 HTTP，浏览器会拦截。请让服务也走 HTTPS（WebSocket 用 wss://），或把挂载地址写成不带协议的形式，例如 /im。',
  ],
  csp: [
    "This page's Content-Security-Policy blocks the connection. Add the hub to connect-src, both as {mount} and as its ws: or wss: address.",
    '页面的内容安全策略（CSP）拦截了连接。请在 connect-src 中加入 {mount} 以及对应的 ws: 或 wss: 地址。',
  ],
  unreachable: [
    'Nothing answers at {mount}. Check that the server runs, that its name resolves and its certificate is valid, and that no firewall or browser extension stands between.',
    '{mount} 没有任何响应。请确认服务已启动、域名能解析、证书有效，并且没有被防火墙或浏览器扩展拦截。',
  ],
  timeout: [
    '{path} gave no answer within {timeout} ms. Try another network; if it stays so, look at the load of the server, and whether the proxy passes on this path.',
    '{path} 在 {timeout} 毫秒内没有响应。请换一个网络再试；若仍如此，请检查服务器负载，以及代理是否转发了该路径。',
  ],
  // What answers instead of the hub
  not_found: [
    'The hub answers, but does not know {path}. Mount it with http.StripPrefix, so that it sees /ws and not the whole path, and check the mount given here.',
    '服务有响应，但不认识 {path}。请用 http.StripPrefix 挂载，使它看到的是 /ws 而不是完整路径，并检查这里填写的挂载地址。',
  ],
  no_route: [
    'The web server in front answers 404 for {path}: it has no rule that leads to the hub. Route everything below the mount to the Go server (nginx: location <mount>/ { proxy_pass http://…; }; Caddy: handle <mount>/* { reverse_proxy … }).',
    '前面的 Web 服务器对 {path} 返回 404：没有把它转发给服务的规则。请将挂载地址下的所有路径都转发到 Go 服务（nginx：location <挂载地址>/ { proxy_pass http://…; }；Caddy：handle <挂载地址>/* { reverse_proxy … }）。',
  ],
  bad_gateway: [
    'The proxy answers for {path} that it cannot reach the Go server (HTTP {status}). Check that the server runs, and the address and port in proxy_pass or reverse_proxy; after 504 raise the time-out (nginx: proxy_read_timeout 75s).',
    '代理在 {path} 上报告无法连到 Go 服务（HTTP {status}）。请确认服务已启动，并检查 proxy_pass 或 reverse_proxy 中的地址和端口；若为 504，请调大超时（nginx：proxy_read_timeout 75s）。',
  ],
  gate: [
    'Something in front of the hub refuses {path} (HTTP {status}): a login wall, a firewall or a bot check. Let the paths below the mount pass it; the hub checks identities itself.',
    '服务前面有东西拒绝了 {path}（HTTP {status}）：登录墙、防火墙或人机验证。请放行挂载地址下的路径，身份由服务自己校验。',
  ],
  no_method: [
    'The web server in front does not let this method through to {path} (HTTP {status}). Allow GET, POST and OPTIONS below the mount.',
    '前面的 Web 服务器不允许对 {path} 使用该方法（HTTP {status}）。请在挂载地址下放行 GET、POST 和 OPTIONS。',
  ],
  redirected: [
    '{path} leads to another page, such as a login page or a captive portal. Take the paths below the mount out of that redirect; on a public network, sign in to the network first.',
    '{path} 被重定向到了别的页面，例如登录页或公共 Wi-Fi 的认证页。请让挂载地址下的路径不参与重定向；如在公共网络，请先完成网络认证。',
  ],
  not_hub: [
    'Something else than the hub answers at {path}, often the fall-back page of a web app. Put the rule for the mount before that fall-back, and check the mount given here.',
    '{path} 上应答的不是本服务，常见于单页应用的兜底页面。请把挂载地址的规则放在兜底规则之前，并检查这里填写的挂载地址。',
  ],
  // Origin and identity
  origin: [
    'The hub refuses pages of {origin}. If this is the same site behind a proxy, pass its name on (nginx: proxy_set_header Host $http_host); otherwise add "{origin}" to Options.Origins.',
    '服务拒绝来自 {origin} 的页面。如果是同一站点经过代理，请透传主机名（nginx：proxy_set_header Host $http_host）；否则请把 "{origin}" 加入 Options.Origins。',
  ],
  unauthorized: [
    'The hub does not know who you are. Sign in to the site, or give a token. For the developer: pass token to connect, or see that the session cookie reaches the mount; the Authenticator decides.',
    '服务不知道你是谁。请先登录网站，或填写令牌。开发者请注意：给 connect 传入 token，或确保会话 Cookie 能发到挂载地址；由 Authenticator 判定。',
  ],
  expired: [
    'The token has expired. Give a new one. For the developer: let the token function of connect fetch a fresh token each time, and make tokens last longer than the way to the server takes.',
    '令牌已过期，请换用新的。开发者请注意：connect 的 token 函数每次都应取得新令牌，且有效期不要过短。',
  ],
  forbidden: [
    'The hub knows you, but refuses. Ask the site for access. For the developer: the Authenticator, or middleware before the hub, answers "forbidden".',
    '服务认得你，但拒绝了访问。请向网站申请权限。开发者请注意：是 Authenticator 或其前面的中间件返回了 forbidden。',
  ],
  token_failed: ['The token could not be fetched. Check the function that is given as token, and the address that it asks.', '没能取得令牌。请检查作为 token 传入的函数，以及它请求的地址。'],
  stripped: [
    'The token is good over WebSocket, but does not arrive over HTTP: a proxy takes the Authorization header away. Pass it on (nginx: proxy_set_header Authorization $http_authorization).',
    '令牌在 WebSocket 上有效，但走 HTTP 时没有送达：代理去掉了 Authorization 头。请透传（nginx：proxy_set_header Authorization $http_authorization）。',
  ],
  // WebSocket
  no_websocket: ['This browser has no WebSocket, or a setting turns it off. Update it; until then rooms use server-sent events.', '浏览器不支持 WebSocket，或被设置禁用。请升级浏览器；在此之前会使用服务器推送（SSE）。'],
  upgrade_blocked: [
    'A proxy does not pass the WebSocket upgrade on. nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; proxy_read_timeout 75s. Caddy does it by itself; in a CDN switch WebSockets on.',
    '代理没有转发 WebSocket 升级请求。nginx：proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; proxy_read_timeout 75s。Caddy 无需配置；若使用 CDN，请开启 WebSocket。',
  ],
  ws_network: [
    'The network cuts WebSocket connections: a company proxy, a firewall or an antivirus program. Use HTTPS (wss://), which most of them let pass; until then rooms use server-sent events.',
    '网络切断了 WebSocket 连接：可能是公司代理、防火墙或杀毒软件。请使用 HTTPS（wss://），多数情况下可以通过；在此之前会使用服务器推送（SSE）。',
  ],
  ws_silent: [
    'The WebSocket opens, but no answer comes through it. A proxy answers the upgrade itself or holds messages back: let it pass connections on as they are (nginx: proxy_buffering off; proxy_read_timeout 75s), or switch off its inspection of WebSockets.',
    'WebSocket 能建立，但收不到回应。代理自行应答了升级，或扣留了消息：请让它原样转发（nginx：proxy_buffering off; proxy_read_timeout 75s），或关闭其对 WebSocket 的检测。',
  ],
  slow: [
    'The way to the server and back takes {ms} ms. Rooms work, but lag behind. Try another network; for the developer: a server or an edge nearer to the viewers.',
    '到服务器往返需要 {ms} 毫秒。房间可用，但会有延迟。请换个网络试试；开发者可把服务器或接入点放得离观众更近。',
  ],
  // Server-sent events and long-poll
  sse_buffered: [
    'A proxy holds the stream back. nginx: proxy_buffering off; proxy_cache off; proxy_read_timeout 75s; gzip off for this path. Caddy: flush_interval -1. In a CDN switch buffering off. Do not hide the header X-Accel-Buffering.',
    '代理缓冲了事件流。nginx：对该路径设置 proxy_buffering off; proxy_cache off; proxy_read_timeout 75s; gzip off。Caddy：flush_interval -1。CDN 请关闭缓冲。不要屏蔽 X-Accel-Buffering 头。',
  ],
  sse_cut: [
    'The stream ends as soon as it has begun. A proxy or a write time-out of a server cuts it off. nginx: proxy_http_version 1.1; proxy_read_timeout 75s. In Go, middleware such as http.TimeoutHandler must not stand before the hub.',
    '事件流刚开始就结束了：被代理或服务器的写超时切断。nginx：proxy_http_version 1.1; proxy_read_timeout 75s。在 Go 中，服务前面不要放 http.TimeoutHandler 之类的中间件。',
  ],
  poll_early: [
    'A waiting request was answered at once, with nothing. A cache or a proxy answers in the place of the hub: take the mount out of it (nginx: proxy_cache off), and pass the query on.',
    '等待中的请求立刻得到了空答复。可能是缓存或代理代为应答：请让挂载地址不经过缓存（nginx：proxy_cache off），并透传查询参数。',
  ],
  poll_cut: [
    'A request that waits is cut off. Long-poll waits up to 25 s: let the proxy wait longer (nginx: proxy_read_timeout 75s; Caddy: no response_header_timeout below 75s).',
    '等待中的请求被切断了。长轮询最多等待 25 秒：请让代理等待更久（nginx：proxy_read_timeout 75s；Caddy：response_header_timeout 不低于 75s）。',
  ],
  poll_late: [
    'The answer to a waiting request comes late: it was to take {wait} ms. A proxy holds it back (nginx: proxy_buffering off), or the network is slow.',
    '等待请求的答复来得太晚（本应约 {wait} 毫秒）。可能是代理扣留了答复（nginx：proxy_buffering off），或网络很慢。',
  ],
  // Headers and clocks
  cache_control: [
    'A proxy or CDN changes Cache-Control, which the hub sets to no-store. Take the mount out of caching rules (nginx: no expires or add_header Cache-Control there), so that nobody gets the answers of others.',
    '代理或 CDN 改写了 Cache-Control（服务设置的是 no-store）。请让挂载地址不受缓存规则影响（nginx：该处不要用 expires 或 add_header Cache-Control），以免有人收到别人的答复。',
  ],
  cached: ['An answer came out of a cache. Take the mount out of caching in the proxy or CDN (nginx: proxy_cache off).', '答复来自缓存。请在代理或 CDN 中对挂载地址关闭缓存（nginx：proxy_cache off）。'],
  transformed: [
    'A proxy compresses the event stream, which often holds it back. Switch compression off for text/event-stream (nginx: gzip_types without it; Caddy: encode without it).',
    '代理压缩了事件流，往往会导致延迟。请对 text/event-stream 关闭压缩（nginx：gzip_types 中去掉它；Caddy：encode 不匹配它）。',
  ],
  clock: [
    'The clock of this device and that of the server differ by {skew} s. Set the time of the device to automatic; if that is right already, let the server keep time by NTP.',
    '本机时钟与服务器相差 {skew} 秒。请把设备时间设为自动；如果本机时间正确，请让服务器用 NTP 校时。',
  ],
  // What the hub says of itself
  overloaded: ['The server is busy. Try again in a moment. For the developer: raise Options.Bounds, or add servers.', '服务器繁忙，请稍后再试。开发者可调高 Options.Bounds，或增加服务器。'],
  shutdown: ['The server restarts. Try again in a moment.', '服务器正在重启，请稍后再试。'],
  rate_limited: ['Too many requests from this user. Wait a moment, then run the test again.', '该用户请求过于频繁，请稍候再检测。'],
  internal: ['The server failed. Try again later; its log says why.', '服务器内部出错，请稍后再试；原因见服务器日志。'],
  refused: ['The hub refused with the code "{code}". Look it up in the table of errors of docs/protocol.md, and in the log of the server.', '服务以代码 "{code}" 拒绝。请查阅 docs/protocol.md 的错误表以及服务器日志。'],
};

const fill = (text, values) => text.replace(/\{(\w+)\}/g, (all, key) => values[key] ?? all);

// ---------------------------------------------------------------- verdicts

const IDENTITY = new Set(['unauthorized', 'expired', 'forbidden', 'token_failed', 'stripped']);

/** What the close code of a WebSocket means; the others are cuts. */
const CLOSES = { 4401: 'unauthorized', 4419: 'expired', 4403: 'forbidden', 1012: 'shutdown', 1013: 'overloaded', 1011: 'internal', 4429: 'rate_limited' };

/** What stands against a check. `more` fills in the advice. */
class Fault extends Error {
  constructor(code, detail = '', more = {}) {
    super(detail);
    Object.assign(this, { code: String(code), more });
  }
}

/** The messages in a text of the hub, or null if it is not the hub's. */
function decode(text) {
  try {
    const value = JSON.parse(text);
    const list = Array.isArray(value) ? value : [value];
    return list.every((m) => typeof m?.op === 'string') ? list : null;
  } catch {
    return null;
  }
}

/** The messages of an answer; throws what a refusal, or an answer of something else, means. */
function messagesOf(response, text) {
  const { status } = response;
  const messages = decode(text);
  const refusal = messages?.find((m) => m.op === 'error' || m.op === 'bye');
  if (refusal) throw new Fault(refusal.code || 'internal', `HTTP ${status}: ${refusal.code} ${refusal.reason ?? ''}`.trim(), { status });
  if (messages && response.ok) return messages;
  const type = response.headers.get('Content-Type') ?? 'no Content-Type';
  throw new Fault(strangerCode(response), `HTTP ${status}, ${type}`, { status });
}

/** What it means that something else than the hub gave the answer. */
function strangerCode({ status, redirected }) {
  if (redirected) return 'redirected';
  if (status === 404 || status === 410) return 'no_route';
  if (status === 405 || status === 501) return 'no_method';
  if (status >= 500) return 'bad_gateway';
  return status >= 400 ? 'gate' : 'not_hub';
}

// ---------------------------------------------------------------- tools

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];

/** The clock and the timers. Those of the page, but for tests. */
class Time {
  constructor(env = {}) {
    this.setTimeout = env.setTimeout ?? ((fn, ms) => setTimeout(fn, ms));
    this.clearTimeout = env.clearTimeout ?? ((timer) => clearTimeout(timer));
    this.now = env.now ?? (() => performance.now()); // for differences
    this.date = env.date ?? (() => Date.now());
  }

  pause(ms) {
    return new Promise((resolve) => this.setTimeout(resolve, ms));
  }

  /** The outcome of the promise, or a Fault with the code after so many milliseconds. */
  async within(ms, promise, code, detail) {
    let timer;
    const late = new Promise((_, reject) => (timer = this.setTimeout(() => reject(new Fault(code, detail)), ms)));
    try {
      return await Promise.race([promise, late]);
    } finally {
      this.clearTimeout(timer);
    }
  }
}

/** A WebSocket whose messages can be waited for. */
class Line {
  opened = false;
  closed = null; // the event of the end
  messages = [];
  #waiting = new Set();

  constructor(socket, time) {
    Object.assign(this, { socket, time });
    const tell = (change) => (event) => {
      change(event);
      for (const look of this.#waiting) look();
    };
    socket.onopen = tell(() => (this.opened = true));
    socket.onclose = tell((event) => (this.closed = event));
    socket.onerror = () => {}; // close follows, and says as much
    socket.onmessage = tell(({ data }) => this.messages.push(...(decode(data) ?? [])));
  }

  /** What find returns as soon as that is something; undefined at the end of the line, or after so many milliseconds. */
  until(find, ms) {
    return new Promise((resolve) => {
      const end = (value) => {
        this.time.clearTimeout(timer);
        this.#waiting.delete(look);
        resolve(value);
      };
      const look = () => {
        const value = find();
        if (value || this.closed) end(value || undefined);
      };
      const timer = this.time.setTimeout(end, ms);
      this.#waiting.add(look);
      look();
    });
  }

  send(message) {
    this.socket.send(JSON.stringify(message));
  }

  end() {
    this.socket.onopen = this.socket.onclose = this.socket.onmessage = null;
    this.socket.close();
  }
}

// ---------------------------------------------------------------- the checks

const PINGS = 3;
const QUICK = 150; // ms there and back
const SLOW = 400;
const SKEW = 2000; // ms

class Doctor {
  checks = new Map();
  clock = { skewMs: null };
  #faults = {}; // of requests that several checks look at, by path
  #headers = {}; // of answers of the hub, by path
  #welcome; // over HTTP
  #token = '';
  #tokenFault;
  #hello = ''; // what became of the token over WebSocket: 'welcome' or a code
  #blocked = false; // by the policy of this page

  constructor(mount, options) {
    this.options = options;
    this.time = new Time(options.env);
    const page = globalThis.location?.href;
    this.base = new URL(mount, globalThis.document?.baseURI ?? page);
    this.base.protocol = this.base.protocol.replace(/^ws/, 'http');
    this.base.pathname = this.base.pathname.replace(/\/*$/, '/');
    this.base.search = this.base.hash = this.base.username = this.base.password = ''; // of no use for a support desk
    this.mount = this.base.href.slice(0, -1);
    this.foreign = !!page && globalThis.location.origin !== this.base.origin;
    this.wait = Math.round(Math.min(1000, options.timeout / 2));
  }

  async run() {
    const policy = () => (this.#blocked = true);
    globalThis.document?.addEventListener?.('securitypolicyviolation', policy);
    try {
      await this.#fetchToken();
      if (this.#page() && (await this.#reach())) {
        await this.#post();
        await this.#webSocket();
        await this.#stream();
        await this.#poll();
        this.#origin();
        this.#identity();
        this.#checkHeaders();
        this.#checkClock();
      }
    } finally {
      globalThis.document?.removeEventListener?.('securitypolicyviolation', policy);
    }
    for (const name of CHECKS) if (!this.checks.has(name)) this.#skip(name, 'skipped', 'not tested, because of what failed before');
  }

  // -------------------------------------------------------------- outcomes

  #note(name, state, { code = '', detail = '', ms = null, more = {} } = {}) {
    const values = { mount: this.mount, origin: globalThis.location?.origin ?? 'this page', path: this.mount, timeout: this.options.timeout, code, wait: this.wait, ...more };
    const words = Object.hasOwn(ADVICE, code) ? ADVICE[code] : ADVICE.refused;
    const advice = state === 'pass' || state === 'skip' ? null : { en: fill(words[0], values), zh: fill(words[1], values) };
    const ok = state === 'skip' ? null : state === 'pass';
    const check = { name, transport: TRANSPORTS[name] ?? 'http', ok, state, ms: ms === null ? null : Math.round(ms), code: this.#clean(code), detail: this.#clean(detail), advice };
    if (advice) for (const language of ['en', 'zh']) advice[language] = this.#clean(advice[language]);
    this.checks.set(name, check);
    this.options.onresult?.(structuredClone(check));
    return state === 'pass' || state === 'warn';
  }

  /** Takes the token out of what a server said. */
  #clean(text) {
    const out = this.#token ? [this.#token, encodeURIComponent(this.#token)].reduce((t, secret) => t.replaceAll(secret, '…'), String(text)) : String(text);
    return out.slice(0, 1000);
  }

  #pass(name, ms, detail) {
    return this.#note(name, 'pass', { ms, detail });
  }

  #skip(name, code, detail) {
    return this.#note(name, 'skip', { code, detail });
  }

  /** Notes a failure. One of the identity counts once, in its own check. */
  #fail(name, fault, ms = null) {
    const { code, message: detail, more } = fault;
    if (IDENTITY.has(code) && name !== 'identity') return this.#skip(name, code, detail || 'needs an identity first');
    return this.#note(name, 'fail', { code, detail, more, ms });
  }

  // -------------------------------------------------------------- requests

  /** The head of an answer, or a Fault. */
  async #fetch(path, { query, timeout = this.options.timeout, signal, ...init } = {}) {
    const stop = new AbortController();
    signal?.addEventListener('abort', () => stop.abort());
    const url = new URL(path, this.base);
    for (const [key, value] of Object.entries(query ?? {})) url.searchParams.set(key, value);
    const headers = { ...init.headers };
    if (this.#token && init.mode !== 'no-cors') headers.Authorization = `Bearer ${this.#token}`;
    const { fetch, credentials } = this.options;
    try {
      return await this.time.within(timeout, fetch(url.href, { cache: 'no-store', credentials, ...init, headers, signal: stop.signal }), 'timeout', 'no answer in time');
    } catch (error) {
      stop.abort();
      await this.time.pause(0); // the violation of a policy is told after the failure
      const code = error instanceof Fault ? error.code : this.#blocked ? 'csp' : globalThis.navigator?.onLine === false ? 'offline' : 'unreachable';
      throw new Fault(code, String(error?.message ?? error), { path: url.pathname });
    }
  }

  /** The messages of a whole answer, or a Fault. */
  async #ask(path, options = {}) {
    const began = this.time.now();
    const date = this.time.date();
    const stop = new AbortController();
    const { timeout = this.options.timeout } = options;
    try {
      const response = await this.#fetch(path, { ...options, signal: stop.signal });
      const text = await this.time.within(timeout, response.text(), 'timeout', 'the answer did not arrive in full');
      const ms = this.time.now() - began;
      const at = Date.parse(response.headers.get('Date'));
      if (this.clock.skewMs === null && at) this.#tellTime(at + 500, date, ms); // it leaves out the fraction
      const messages = messagesOf(response, text);
      this.#headers[path] = response.headers;
      return { messages, ms };
    } catch (error) {
      stop.abort();
      const fault = error instanceof Fault ? error : new Fault('unreachable', String(error?.message ?? error));
      fault.more = { path: new URL(path, this.base).pathname, ...fault.more };
      fault.ms = this.time.now() - began;
      throw fault;
    }
  }

  /** Takes the server's time, seen halfway through a request that began at a local date. */
  #tellTime(at, began, ms) {
    this.clock.skewMs = Math.round(at - (began + ms / 2)) || 0; // not -0
  }

  // -------------------------------------------------------------- the page and the way

  async #fetchToken() {
    const { token } = this.options;
    try {
      this.#token = String((await (typeof token === 'function' ? token() : token)) ?? '');
    } catch (error) {
      this.#tokenFault = new Fault('token_failed', String(error?.message ?? error));
    }
  }

  #page() {
    const local = /^(localhost|.*\.localhost|127(\.\d+){3}|\[::1\])$/.test(this.base.hostname); // counts as secure
    const secure = globalThis.location?.protocol === 'https:';
    if (secure && this.base.protocol === 'http:' && !local) return this.#fail('page', new Fault('mixed_content', `${this.mount} from ${globalThis.location.origin}`));
    return this.#pass('page', null, `${this.base.protocol.slice(0, -1)}${this.foreign ? ', another origin' : ''}`);
  }

  async #reach() {
    const began = this.time.now();
    try {
      const { messages, ms } = await this.#ask('poll', { query: { wait: 0 } });
      this.#welcome = messages.find((m) => m.op === 'welcome');
      if (!this.#welcome) throw new Fault('poll_early', 'no welcome in the first answer', { path: `${this.base.pathname}poll` });
      this.rtt = ms;
      return this.#pass('reach', ms, 'the hub answers');
    } catch (fault) {
      this.#faults.poll = fault;
      const answered = 'status' in fault.more;
      if (fault.code === 'poll_early' || fault.code === 'origin' || (answered && IDENTITY.has(fault.code))) {
        this.rtt = fault.ms;
        return this.#pass('reach', fault.ms, 'the hub answers');
      }
      if (answered) {
        this.#fail('reach', fault, fault.ms);
        return true; // other paths may have other rules
      }
      return this.#reachAtAll(fault, began);
    }
  }

  /** Looks whether anything is there, though the page may not read an answer. */
  async #reachAtAll(fault, began) {
    try {
      await this.#fetch('client.js', this.foreign ? { mode: 'no-cors', credentials: 'omit' } : {});
    } catch {
      return this.#fail('reach', fault);
    }
    if (this.foreign) this.#faults.origin = new Fault('origin', 'the browser may not read the answers of the hub');
    return this.#pass('reach', this.time.now() - began, this.foreign ? 'something answers, but this page may not read it' : 'the server answers, but not at /poll');
  }

  async #post() {
    if (this.#faults.origin) return this.#fail('post', this.#faults.origin);
    const body = JSON.stringify({ op: 'ping', id: 1 });
    const date = this.time.date();
    try {
      const { messages, ms } = await this.#ask('send', { method: 'POST', body, headers: { 'Content-Type': 'application/json' } });
      const pong = messages.find((m) => m.op === 'pong');
      if (!pong) throw new Fault('not_hub', 'no pong in the answer', { path: `${this.base.pathname}send` });
      if (pong.at) this.#tellTime(pong.at, date, ms);
      return this.#pass('post', ms, 'ping by POST');
    } catch (fault) {
      this.#faults.send = fault;
      return this.#fail('post', fault);
    }
  }

  // -------------------------------------------------------------- WebSocket

  async #webSocket() {
    const began = this.time.now();
    let line;
    try {
      line = await this.#dial();
      const opened = this.time.now() - began;
      const answer = await this.#introduce(line);
      if (answer === 'refused') {
        this.#pass('websocket', opened, `it opens; the hub refuses the token (${this.#hello})`);
        return this.#skip('websocket_latency', this.#hello, 'needs an identity first');
      }
      const times = await this.#ping(line);
      if (!times.length) throw this.#silence(line);
      this.#pass('websocket', opened, 'it opens, and answers come');
      const ms = median(times);
      const detail = `pings: ${times.map((t) => Math.round(t)).join(', ')} ms`;
      return ms > SLOW ? this.#note('websocket_latency', 'warn', { code: 'slow', ms, detail, more: { ms: Math.round(ms) } }) : this.#pass('websocket_latency', ms, detail);
    } catch (fault) {
      this.#fail('websocket', fault instanceof Fault ? fault : new Fault('ws_silent', String(fault)));
      return this.#skip('websocket_latency', 'skipped', 'no WebSocket');
    } finally {
      line?.end();
    }
  }

  /** An open line, or the Fault that explains why there is none. */
  async #dial() {
    const { WebSocket, timeout } = this.options;
    if (!WebSocket) throw new Fault('no_websocket', 'there is no WebSocket here');
    let line;
    try {
      line = new Line(new WebSocket(new URL('ws', this.base).href.replace(/^http/, 'ws'), 'im.v1'), this.time);
    } catch (error) {
      throw new Fault(this.#blocked || error?.name === 'SecurityError' ? 'csp' : 'no_websocket', String(error?.message ?? error));
    }
    if (await line.until(() => line.opened, timeout)) return line;
    const { closed } = line;
    line.end();
    throw await this.#explain(closed ? `the handshake failed (${closed.code})` : `no answer to the handshake in ${timeout} ms`);
  }

  /** Why a handshake failed, which browsers do not tell: looks what a plain request to the path meets. */
  async #explain(detail) {
    await this.time.pause(0);
    if (this.#blocked) return new Fault('csp', detail);
    const origin = [this.#faults.origin, this.#faults.send, this.#faults.poll].find((f) => f?.code === 'origin');
    if (origin) return new Fault('origin', `${detail}; other requests are refused for their origin`);
    const path = `${this.base.pathname}ws`;
    let response;
    let text = '';
    try {
      response = await this.#fetch('ws');
      text = await this.time.within(this.options.timeout, response.text(), 'timeout');
    } catch (fault) {
      if (!response) return new Fault('ws_network', `${detail}; a plain request: ${fault.message}`, { path });
    }
    const seen = `${detail}; a plain request to it: HTTP ${response.status}`;
    const refusal = decode(text)?.find((m) => m.code);
    // The hub asks plain requests for an upgrade. So the path is right, and the upgrade is lost on the way.
    if (response.status === 426 || response.status === 400) return new Fault('upgrade_blocked', seen, { path });
    if (refusal) return new Fault(refusal.code, `${seen} ${refusal.code}`, { path });
    const code = response.ok ? 'not_hub' : strangerCode(response);
    return new Fault(code, seen, { path, status: response.status });
  }

  /** Gives the token. The answer is 'refused' if it is not good. */
  async #introduce(line) {
    if (!this.#token) return '';
    line.send({ op: 'hello', token: this.#token });
    const answer = await line.until(() => line.messages.find((m) => m.op === 'welcome' || m.op === 'error' || m.op === 'bye'), this.options.timeout);
    if (!answer) throw this.#silence(line);
    this.#hello = answer.op === 'welcome' ? 'welcome' : String(answer.code);
    if (answer.op === 'welcome') return '';
    if (IDENTITY.has(answer.code)) return 'refused';
    throw new Fault(answer.code || 'internal', `${answer.code} ${answer.reason ?? ''}`.trim());
  }

  #silence(line) {
    const bye = line.messages.find((m) => m.op === 'bye');
    if (!line.closed) return new Fault('ws_silent', 'it opened, and nothing came');
    return new Fault(bye?.code || CLOSES[line.closed.code] || 'ws_silent', `it was closed (${line.closed.code})`);
  }

  /** Times of the ways there and back. A refusal is an answer as well. */
  async #ping(line) {
    const times = [];
    let best = Infinity;
    for (let id = 1; id <= PINGS; id++) {
      const date = this.time.date();
      const began = this.time.now();
      line.send({ op: 'ping', id });
      const answer = await line.until(() => line.messages.find((m) => m.id === id), this.options.timeout);
      if (!answer) break;
      const ms = this.time.now() - began;
      times.push(ms);
      if (answer.at && ms < best) this.#tellTime(answer.at, date, (best = ms));
    }
    return times;
  }

  // -------------------------------------------------------------- streams and polls

  async #stream() {
    const stop = new AbortController();
    const path = `${this.base.pathname}sse`;
    try {
      if (this.#faults.origin) throw this.#faults.origin;
      const began = this.time.now();
      // Where polls get through and this does not even begin, something collects the answer.
      const response = await this.#fetch('sse', { headers: { Accept: 'text/event-stream' }, signal: stop.signal }).catch((fault) => {
        throw fault.code === 'timeout' && this.#welcome ? new Fault('sse_buffered', 'not even the head of the response came') : fault;
      });
      const head = this.time.now() - began;
      if (!response.ok || !response.headers.get('Content-Type')?.startsWith('text/event-stream')) {
        messagesOf(response, await this.time.within(this.options.timeout, response.text(), 'timeout', 'the answer did not arrive in full'));
        throw new Fault('not_hub', 'the answer is no event stream');
      }
      this.#headers.sse = response.headers;
      const { first, welcome } = await this.#listen(response, began);
      const detail = `head ${Math.round(head)}, first bytes ${Math.round(first)}, welcome ${Math.round(welcome)} ms`;
      const late = welcome > Math.max(0.3 * this.options.timeout, 3 * (this.rtt ?? 0));
      if (late) this.#note('sse', 'warn', { code: 'sse_buffered', ms: welcome, detail: `late: ${detail}` });
      else this.#pass('sse', head, detail);
      if (welcome > SLOW) return this.#note('sse_latency', 'warn', { code: late ? 'sse_buffered' : 'slow', ms: welcome, more: { ms: Math.round(welcome) } });
      return this.#pass('sse_latency', welcome, 'from the request to the welcome');
    } catch (error) {
      const fault = error instanceof Fault ? error : new Fault('sse_cut', String(error?.message ?? error));
      fault.more = { path, ...fault.more };
      this.#fail('sse', fault);
      return this.#skip('sse_latency', 'skipped', 'no event stream');
    } finally {
      stop.abort();
    }
  }

  /** When the first bytes and the welcome came. */
  async #listen(response, began) {
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    let text = '';
    let first = 0;
    const silent = () => (text ? 'the first bytes came, and no welcome' : 'the head of the response came, and nothing more');
    try {
      while (!/^data:.*"welcome".*\r?\n/m.test(text)) {
        const left = Math.max(this.options.timeout - (this.time.now() - began), 0);
        const { done, value } = await this.time.within(left, reader.read(), 'sse_buffered', silent());
        if (done) throw new Fault('sse_cut', 'the stream ended without a welcome');
        first ||= this.time.now() - began;
        text += decoder.decode(value, { stream: true });
        const bye = /^data:.*"op":"bye".*"code":"(\w+)"/m.exec(text);
        if (bye) throw new Fault(bye[1], 'the hub ended the stream');
      }
      const welcome = this.time.now() - began;
      const more = await Promise.race([reader.read(), this.time.pause(Math.min(200, this.options.timeout / 4))]);
      if (more?.done) throw new Fault('sse_cut', 'the stream ended behind the welcome');
      return { first, welcome };
    } finally {
      reader.cancel().catch(() => {});
    }
  }

  async #poll() {
    const path = `${this.base.pathname}poll`;
    const fault = this.#faults.origin ?? this.#faults.poll;
    if (fault) return this.#fail('poll', fault);
    try {
      const { wait } = this;
      const query = { sid: this.#welcome.sid ?? '', wait };
      const { messages, ms } = await this.#ask('poll', { query, timeout: wait + this.options.timeout });
      const detail = `an answer after ${Math.round(ms)} ms, asked to wait ${wait} ms`;
      if (!messages.length && ms < 0.7 * wait) return this.#note('poll', 'fail', { code: 'poll_early', ms, detail, more: { path } });
      if (ms > wait + Math.max(0.3 * this.options.timeout, 3 * this.rtt)) return this.#note('poll', 'warn', { code: 'poll_late', ms, detail, more: { path } });
      return this.#pass('poll', this.rtt, detail);
    } catch (error) {
      const cut = ['unreachable', 'timeout', 'bad_gateway'].includes(error.code); // the same path answered before
      return this.#fail('poll', cut ? new Fault('poll_cut', error.message, { path, ...error.more }) : error, error.ms);
    }
  }

  // -------------------------------------------------------------- what follows from all of them

  #origin() {
    const fault = [this.#faults.origin, this.#faults.send, this.#faults.poll].find((f) => f?.code === 'origin');
    const socket = this.checks.get('websocket');
    if (fault || socket.code === 'origin') return this.#fail('origin', fault ?? new Fault('origin', socket.detail));
    const sent = this.#faults.send;
    if (sent && !IDENTITY.has(sent.code)) return this.#skip('origin', 'skipped', 'POST did not get through');
    return this.#pass('origin', null, globalThis.location?.origin ?? '');
  }

  #identity() {
    if (this.#tokenFault) return this.#fail('identity', this.#tokenFault);
    if (this.#welcome) return this.#pass('identity', null, `user ${this.#welcome.user?.id ?? '?'}`);
    const fault = [this.#faults.poll, this.#faults.send].find((f) => IDENTITY.has(f?.code));
    if (fault && this.#hello === 'welcome') return this.#fail('identity', new Fault('stripped', `welcome over WebSocket; ${fault.message}`));
    if (fault) return this.#fail('identity', fault);
    if (this.#hello === 'welcome') return this.#pass('identity', null, 'welcome over WebSocket');
    if (IDENTITY.has(this.#hello)) return this.#fail('identity', new Fault(this.#hello, 'refused over WebSocket'));
    const socket = this.checks.get('websocket');
    if (IDENTITY.has(socket.code)) return this.#fail('identity', new Fault(socket.code, socket.detail));
    return this.#skip('identity', 'skipped', 'the hub could not be asked');
  }

  #checkHeaders() {
    const answers = ['poll', 'send', 'sse'].filter((path) => this.#headers[path]);
    if (!answers.length) return this.#skip('headers', 'skipped', 'no answer of the hub to look at');
    for (const path of answers) {
      const get = (name) => this.#headers[path].get(name) ?? '';
      const warn = (code, detail) => this.#note('headers', 'warn', { code, detail: `/${path}: ${detail}` });
      if (Number(get('Age')) > 0 || /\bhit\b/i.test(`${get('X-Cache')} ${get('CF-Cache-Status')}`)) return warn('cached', `Age ${get('Age') || '-'}, X-Cache ${get('X-Cache') || '-'}`);
      if (!/\bno-store\b/i.test(get('Cache-Control'))) return warn('cache_control', `Cache-Control: ${get('Cache-Control') || 'none'}`);
      if (path === 'sse' && !/^(identity)?$/i.test(get('Content-Encoding'))) return warn('transformed', `Content-Encoding: ${get('Content-Encoding')}`);
    }
    return this.#pass('headers', null, 'as the hub sets them');
  }

  #checkClock() {
    const { skewMs } = this.clock;
    if (skewMs === null) return this.#skip('clock', 'skipped', 'the server told no time');
    const detail = `this clock is ${Math.abs(skewMs)} ms ${skewMs > 0 ? 'behind' : 'ahead'}`;
    if (Math.abs(skewMs) <= SKEW) return this.#pass('clock', null, detail);
    return this.#note('clock', 'warn', { code: 'clock', detail, more: { skew: (Math.abs(skewMs) / 1000).toFixed(1) } });
  }
}

// ---------------------------------------------------------------- the summary

const WAYS = {
  websocket: ['WebSocket', 'WebSocket'],
  sse: ['server-sent events', '服务器推送（SSE）'],
  poll: ['long-poll', '长轮询'],
};

const GRADES = {
  good: ['Everything is fine: rooms run over {way}, {ms} ms to the server and back.', '一切正常：房间使用 {way}，往返 {ms} 毫秒。'],
  fair: ['Rooms work over {way}, {ms} ms to the server and back; something could be better, see below.', '房间可用，使用 {way}，往返 {ms} 毫秒；仍有可改进之处，见下。'],
  unhurried: ['Rooms run over {way}, {ms} ms to the server and back: usable, though not quick.', '房间使用 {way}，往返 {ms} 毫秒：可用，但不算快。'],
  poor: ['Rooms work over {way}, with delays: {ms} ms to the server and back. See below.', '房间可用，使用 {way}，但有延迟：往返 {ms} 毫秒。见下。'],
  fallback: ['WebSocket does not get through, so rooms fall back to {way}. They work; below is what would make them better.', 'WebSocket 不通，房间将改用{way}。可以使用；改进方法见下。'],
  identity: ['The way to the server is open, but the server does not let you in yet. See Identity below.', '到服务器的线路是通的，但服务器还不认可你的身份。请看下面的“身份”一项。'],
  none: ['Rooms do not work from here. What to change is said below.', '从这里无法使用房间。需要修改的地方见下。'],
};

/**
 * Which transport a client would use, and how good that is.
 * @param {{checks: {name: string, state: string, ms: number | null}[]}} report
 */
export function summarize({ checks }) {
  const by = Object.fromEntries(checks.map((c) => [c.name, c]));
  const works = (name) => by[name]?.state === 'pass' || by[name]?.state === 'warn';
  const say = (transport, quality, grade, ms) => {
    const values = (i) => ({ way: WAYS[transport]?.[i], ms: Math.round(ms ?? 0) });
    return { transport, quality, en: fill(GRADES[grade][0], values(0)), zh: fill(GRADES[grade][1], values(1)) };
  };
  if (by.identity?.state === 'fail' && by.identity.code !== 'stripped') return say('', 'none', 'identity');
  // Streams and polls send by POST.
  const transport = works('websocket') ? 'websocket' : ['sse', 'poll'].find((name) => works(name) && works('post'));
  if (!transport) return say('', 'none', 'none');
  if (transport !== 'websocket') return say(transport, transport === 'sse' ? 'fair' : 'poor', 'fallback');
  const { ms } = by.websocket_latency;
  if (ms > SLOW) return say(transport, 'poor', 'poor', ms);
  if (checks.some((c) => c.state === 'warn' || c.state === 'fail')) return say(transport, 'fair', 'fair', ms);
  return ms > QUICK ? say(transport, 'fair', 'unhurried', ms) : say(transport, 'good', 'good', ms);
}

/**
 * Tests the ways to the hub at mount. Never rejects for what it finds; the result is JSON for support, and
 * does not contain the token. Types and the documentation of every option: diagnose.d.ts.
 */
export async function diagnose(mount, options = {}) {
  const { fetch = globalThis.fetch, WebSocket = globalThis.WebSocket, timeout = 5000 } = options;
  const doctor = new Doctor(mount, { credentials: 'same-origin', ...options, timeout, WebSocket, fetch: (...args) => fetch(...args) });
  const { location, navigator } = globalThis;
  await doctor.run();
  const report = {
    when: new Date(doctor.time.date()).toISOString(),
    page: { origin: location?.origin ?? '', secure: globalThis.isSecureContext ?? false, userAgent: navigator?.userAgent ?? '', online: navigator?.onLine ?? true },
    mount: doctor.mount,
    clock: doctor.clock,
    checks: CHECKS.map((name) => doctor.checks.get(name)),
  };
  return { ...report, summary: summarize(report) };
}
