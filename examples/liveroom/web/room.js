// The page of a live room: ties the hub's browser client to what is seen.

import { connect } from '/im/client.js';
import { clean, Danmaku } from '/im/danmaku.js';
import { avatar, Chat } from './chat.js';
import { Banners, GiftRow, isGift, picture } from './gifts.js';
import { Likes } from './likes.js';
import { Meter } from './meter.js';
import { HostPanel, ModeChips } from './modes.js';
import { Scene } from './scene.js';
import { language, text, translate } from './text.js';

const $ = (id) => document.getElementById(id);
const colors = ['#ffffff', '#fe5050', '#ff9a3c', '#ffd302', '#42d77d', '#4ab8ff', '#a98bff', '#ff7ac0'];
const room = document.documentElement.dataset.room;
const patience = 15_000; // ms that a message may take, over all reconnects
const likesKey = 'im.total.like';
const modesKey = 'im.modes';

translate(document);
const scene = new Scene($('scene'));
const danmaku = new Danmaku($('danmaku'));
const chat = new Chat($('messages'), $('newer'), $('speaker'), text);
const banners = new Banners($('banners'), (gift) => text.gave(text[gift]));
const compact = new Intl.NumberFormat(language, { notation: 'compact', maximumFractionDigits: 1 });
const likes = new Likes(
  (n, signal) => inRoom().send('like', { n }, { signal }),
  (total) => ($('likes').textContent = compact.format(total)),
  $('hearts'),
);
const chips = new ModeChips($('chips'), text, () => client?.now() ?? Date.now());
const host = new HostPanel($('modes'), $('queue'), text, setModes, (event, pass) => attempt(() => inRoom().decide(event, pass)));
const meter = new Meter(showMeter);
let me = { id: '', name: '', roles: [] };

// Identity: a cookie that only the server reads. The name goes along, since the
// server of the demo forgets its guests when it restarts.

async function signIn(name, isHost = me.roles?.includes('host') || asHost) {
  const response = await fetch('/guest', { method: 'POST', body: new URLSearchParams({ name, host: Boolean(isHost) }) });
  if (!response.ok) throw new Error(await response.text());
  showMe(await response.json());
}

function showMe(user) {
  me = user;
  $('me-name').textContent = user.name;
  $('host').hidden = !user.roles?.includes('host');
  $('me-avatar').replaceWith(Object.assign(avatar(user.name), { id: 'me-avatar' }));
}

// The room.

/** ?transport=sse has the page use one way to the server only, for trying it. */
const forced = new URLSearchParams(location.search).get('transport');
/** ?as=host makes the visitor the host from the start. */
const asHost = new URLSearchParams(location.search).get('as') === 'host';
const transports = ['websocket', 'sse', 'poll'].includes(forced) ? [forced] : undefined;

let client = null;
let live = null; // the room, once the client is in it

/** The room to send to. */
function inRoom() {
  if (!live) throw new Error(text.notYet);
  return live;
}

/** Gets a name from the server, however long it takes, and enters the room under it. */
async function start() {
  const before = client;
  for (let delay = 1000; client === before; delay = Math.min(delay * 2, 20_000)) {
    showStatus({ phase: 'connecting' });
    try {
      await signIn(me.name);
      if (client === before) enter();
      return;
    } catch {
      const wait = delay * (0.5 + Math.random());
      showStatus({ phase: 'waiting', retryAt: Date.now() + wait });
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }
}

/** Connects as who we are and enters the room, from a position on if there is one. */
async function enter(since = null) {
  const mine = (client = connect('/im', { transports }));
  mine.on('status', (status) => mine === client && followStatus(status));
  mine.on('direct', ({ body }) => chat.announce(textOf(body)));
  let joined;
  try {
    joined = await mine.join(room, { since });
  } catch (error) {
    if (mine === client && mine.status.phase !== 'closed') leave(error);
    return;
  }
  live = joined;
  let first = true; // nobody has been away yet
  joined.on('reset', () => {
    chat.clear();
    host.clear();
    if (!first) chat.remark(text.renewed);
    catchUp();
  });
  joined.on('resumed', ({ missed }) => {
    if (missed > 0) skip(missed);
    else if (!first) chat.remark(text.resumed);
    catchUp();
  });
  const catchUp = () => {
    first = false;
    likes.reset(joined.state.get(likesKey));
    showTitle(joined.state.get('title'));
    showOnline(joined.online);
    showModes();
  };
  joined.on('event', show);
  joined.on('gap', ({ missed }) => skip(missed));
  joined.on('online', ({ count, joined: came }) => {
    showOnline(count);
    if (came) showArrivals(came);
  });
  joined.on('fate', ({ error }) => error && toast(explain(error)));
  joined.on('held', (held) => host.held(held, `${clean(held.event?.from?.name, 24)}: ${textOf(held.event?.body)}`));
  joined.on('left', leave);
  joined.state.on(modesKey, showModes);
  joined.state.on('title', showTitle);
}

/** Is over, for a reason that lasts. */
function leave(error) {
  const old = client;
  client = live = null;
  old?.close();
  showStatus({ phase: 'closed', error });
}

function followStatus(status) {
  showStatus(status);
  const { phase, error } = status;
  if (phase === 'online') showMe({ ...me, ...client.user });
  // The hub of the demo may have been restarted: then we need a new cookie.
  if (phase === 'waiting') signIn(me.name).catch(() => {});
  if (phase !== 'closed') return;
  live = null;
  if (error.retry === 'with_token') start();
}

/** Enters again, as a user with another name, from where we are. */
function enterAnew() {
  const since = live?.position ?? null;
  leave();
  enter(since);
}

function skip(missed) {
  stats.skipped += missed;
  chat.remark(text.missed(missed));
}

function showOnline(count) {
  $('online').textContent = count.toLocaleString();
}

let cameTimer = 0;
/** Who came in: the names of the first, and how many there were. */
function showArrivals({ names, n }) {
  const shown = names.map((name) => clean(name, 24) || '?');
  $('came').textContent = text.came(shown.join(text.comma), n - shown.length);
  $('came').hidden = false;
  clearTimeout(cameTimer);
  cameTimer = setTimeout(() => ($('came').hidden = true), 4000);
}

const stats = { skipped: 0 };

/** How much of what is said is shown. */
function showMeter({ shown, offered, merged, shed, storm }) {
  $('stat-rate').textContent = storm ? text.ofOffered(Math.round(shown), Math.round(offered)) : shown.toFixed(1);
  $('stat-merged').textContent = merged.toLocaleString();
  $('stat-shed').textContent = shed.toLocaleString();
  $('stat-skipped').textContent = stats.skipped.toLocaleString();
  $('player').classList.toggle('stormy', storm);
}

/** Shows one event of the room. Unknown kinds are left to newer pages. */
function show({ id, kind, from, body, n = 1, replayed }) {
  const own = from !== undefined && from.id === me.id;
  const name = clean(from?.name, 24) || clean(from?.id, 24) || '?';
  switch (kind) {
    case 'danmaku':
      if (replayed) break; // what flew by before is not flown again
      scene.cheer(Math.min(n, 10));
      meter.flown();
      if (!(own && echoes.take(textOf(body)))) fly(body, n, own, id);
      break;
    case 'tally':
      if (replayed) break;
      meter.tally(body ?? {});
      for (const [event, count] of Object.entries(body?.counts ?? {})) danmaku.update(event, { count });
      break;
    case 'chat':
      scene.cheer();
      chat.say({ name, text: textOf(body), own, old: replayed });
      break;
    case 'like':
      if (!replayed) likes.grow(body);
      break;
    case 'gift':
      if (!isGift(body?.gift)) break; // a newer one
      chat.gift({ name, text: text.gave(text[body.gift]), picture: picture(body.gift), own, old: replayed });
      if (replayed) break;
      scene.cheer(5);
      banners.show({ id: from?.id, name, gift: body.gift });
      break;
    case 'notice':
      chat.announce(textOf(body), replayed);
      break;
  }
}

function showTitle(title) {
  const shown = clean(title) || text.title(room);
  $('title').textContent = shown;
  document.title = shown;
}

// Bodies come from other people: nothing in them is taken for granted.

function textOf(body) {
  return clean(body?.text, 200);
}

function fly(body, count, own, id) {
  danmaku.show({ text: body?.text, color: body?.color, mode: body?.mode, size: body?.size, count, own, id });
}

// Sending.

// Own danmaku are shown at once, whatever becomes of them. Their texts are
// remembered for as long as they may come back from the server.
const echoes = {
  waiting: [],
  add(line) {
    this.waiting.push({ line, until: Date.now() + 10_000 });
  },
  take(line) {
    this.waiting = this.waiting.filter(({ until }) => until > Date.now());
    const i = this.waiting.findIndex((w) => w.line === line);
    if (i >= 0) this.waiting.splice(i, 1);
    return i >= 0;
  },
};

$('composer').addEventListener('submit', async (e) => {
  e.preventDefault();
  const line = $('text').value.trim();
  if (line === '') return;
  const kind = chosen('kind');
  const body = kind === 'danmaku' ? { text: line, color: chosen('color') } : { text: line };
  $('text').value = '';
  showSendable();
  try {
    const fate = inRoom().send(kind, body, { signal: AbortSignal.timeout(patience) });
    if (kind === 'danmaku') {
      echoes.add(textOf(body));
      fly(body, 1, true);
    }
    const { status } = await fate;
    if (status === 'held') toast(text.held);
    if (status === 'shed') toast(text.shed);
    if (status === 'merged') toast(text.merged());
    rest(live?.modes.slow_ms ?? 0);
  } catch (error) {
    if ($('text').value === '') $('text').value = line;
    showSendable();
    if (error.code === 'rate_limited') rest(error.retryAfter);
    toast(explain(error));
  }
});

// Slow mode: the button counts down until the next message may be sent.
let resting = 0;
let rested = 0;
function rest(ms) {
  if (ms <= 0 || me.roles?.includes('host')) return;
  rested = performance.now() + ms;
  clearInterval(resting);
  const tick = () => {
    const left = rested - performance.now();
    if (left <= 0) clearInterval(resting);
    $('send').textContent = left > 0 ? text.wait(Math.ceil(left / 1000)) : text.send;
    showSendable();
  };
  resting = setInterval(tick, 250);
  tick();
}

function showModes() {
  const modes = live?.modes ?? {};
  chips.set(modes);
  host.set(modes);
  if (!modes.slow_ms) rested = 0;
}

function setModes({ modes, minutes }) {
  if (minutes) modes.until = Math.round(client.now() + 60_000 * minutes);
  attempt(() => inRoom().setModes(modes));
}

$('storm').addEventListener('click', () => attempt(async () => {
  inRoom();
  await client.call('demo.storm', room, null, { signal: AbortSignal.timeout(patience) });
  toast(text.stormNow);
}));

/** Does something that the server may refuse, and says so. */
async function attempt(what) {
  try {
    await what();
  } catch (error) {
    toast(explain(error));
    showModes();
  }
}

$('like').addEventListener('click', () => likes.add());

new GiftRow($('gifts'), $('gift'), text, async (gift) => {
  try {
    inRoom();
    await client.call('demo.gift', room, { gift }, { signal: AbortSignal.timeout(patience) });
  } catch (error) {
    toast(explain(error));
  }
});

function explain({ name, code, reason, message, retryAfter }) {
  if (name === 'TimeoutError') return text.timeout;
  if (code === 'rate_limited') return text.tooFast(Math.max(1, Math.ceil(retryAfter / 1000)));
  if (code === 'overloaded') return text.overloaded;
  return reason || message;
}

// The page around it.

function chosen(name) {
  return $('composer').elements[name].value;
}

function showSendable() {
  $('send').disabled = $('text').value.trim() === '' || rested > performance.now();
}

function showKind() {
  const flying = chosen('kind') === 'danmaku';
  $('text').placeholder = flying ? text.sayDanmaku : text.sayChat;
  $('text').setAttribute('aria-label', $('text').placeholder);
  $('colors').hidden = !flying;
}

let countdown = 0;
function showStatus({ phase, retryAt, error, cause }) {
  clearInterval(countdown);
  const update = () => {
    const words = text[cause === 'offline' ? cause : phase];
    let label = typeof words === 'function' ? words(Math.ceil((retryAt - Date.now()) / 1000)) : words;
    if (phase === 'closed' && error) label = text.closedBecause(explain(error));
    if ($('badge-text').textContent !== label) $('badge-text').textContent = label;
  };
  update();
  $('badge').dataset.status = phase;
  if (phase === 'waiting') countdown = setInterval(update, 500);
  showWay();
}

// Which way the messages take, and how long it is.
function showWay() {
  const { transport } = client?.status ?? {};
  const ms = client?.latency === undefined ? '–' : Math.max(1, Math.round(client.latency));
  $('badge-way').hidden = !transport;
  $('badge-way').textContent = transport ? text.way(text[transport], ms) : '';
  $('stat-latency').textContent = transport ? `${ms} ms` : '–';
}
setInterval(showWay, 1000);

let toastTimer = 0;
function toast(message) {
  $('toast').textContent = message;
  $('toast').hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => ($('toast').hidden = true), 4000);
}

function showDanmakuToggle() {
  const button = $('toggle-danmaku');
  button.setAttribute('aria-pressed', !danmaku.hidden);
  button.textContent = danmaku.hidden ? text.danmakuOff : text.danmakuOn;
}

for (const [i, color] of colors.entries()) {
  const label = document.createElement('label');
  const input = Object.assign(document.createElement('input'), { type: 'radio', name: 'color', value: color, checked: i === 0 });
  input.setAttribute('aria-label', color);
  label.style.setProperty('--color', color);
  label.append(input);
  $('colors').append(label);
}
$('composer').addEventListener('change', showKind);
$('text').addEventListener('input', showSendable);
$('toggle-danmaku').addEventListener('click', () => {
  if (danmaku.hidden) danmaku.reveal();
  else danmaku.hide();
  showDanmakuToggle();
});
$('fullscreen').addEventListener('click', () => {
  if (document.fullscreenElement) document.exitFullscreen();
  else $('player').requestFullscreen?.();
});
$('fullscreen').hidden = !document.fullscreenEnabled;

$('me').addEventListener('click', () => {
  $('rename-name').value = me.name;
  $('rename-host').checked = Boolean(me.roles?.includes('host'));
  $('rename').showModal();
  $('rename-name').select();
});
$('rename-cancel').addEventListener('click', () => $('rename').close());
$('rename-form').addEventListener('submit', async () => {
  const name = $('rename-name').value.trim();
  const isHost = $('rename-host').checked;
  if (name === '' || (name === me.name && isHost === Boolean(me.roles?.includes('host')))) return;
  try {
    await signIn(name, isHost);
    enterAnew();
  } catch (error) {
    toast(error.message);
  }
});

showKind();
showDanmakuToggle();
showTitle();
start();
