// The page of a live room: ties the hub's browser client to what is seen.

import { connect } from '/im/client.js';
import { clean, Danmaku } from '/im/danmaku.js';
import { Arrivals } from './arrivals.js';
import { avatar, Chat } from './chat.js';
import { Composer } from './compose.js';
import { Extras } from './extras.js';
import { nameOf, picture } from './gifts.js';
import { Meter } from './meter.js';
import { HostPanel, ModeChips } from './modes.js';
import { OwnDanmaku } from './own.js';
import { colorOf } from './paid.js';
import { Scene } from './scene.js';
import { language, text, translate } from './text.js';

const $ = (id) => document.getElementById(id);
const room = document.documentElement.dataset.room;
const patience = 15_000; // ms that a message may take, over all reconnects
const modesKey = 'im.modes';
const calm = 0.75; // of the height flown over
const high = 0.9; // in a storm

translate(document);
const scene = new Scene($('scene'));
const danmaku = new Danmaku($('danmaku'));
const chat = new Chat($('messages'), $('newer'), $('speaker'), text, (event, opener) => extras.actions(event, opener));
const now = () => client?.now() ?? Date.now(); // of the server
const chips = new ModeChips($('chips'), text, now);
const host = new HostPanel($('modes'), $('queue'), text, {
  set: (modes) => attempt(() => inRoom().setModes(modes)),
  decide: (event, pass) => attempt(() => extras.decide(event, pass) ?? inRoom().decide(event, pass)),
  now,
});
const composer = new Composer($('composer'), text, say);
const own = new OwnDanmaku(danmaku, (body, id) => fly(body, { own: true, id }));
const meter = new Meter(showMeter);
const arrivals = new Arrivals($('came'), text);
let me = { id: '', name: '', roles: [] };
const isHost = () => Boolean(me.roles?.includes('host'));
const extras = new Extras({ text, now, attempt, toast, isHost, host, cheer: (n) => scene.cheer(n), me: () => me });

// Identity: a cookie that only the server reads. The name goes along, since the
// server of the demo forgets its guests when it restarts.

async function signIn(name, host = isHost() || asHost) {
  const response = await fetch('/guest', { method: 'POST', body: new URLSearchParams({ name, host }) });
  if (!response.ok) throw new Error(await response.text());
  showMe(await response.json());
}

function showMe(user) {
  me = user;
  $('me-name').textContent = user.name;
  $('host').hidden = !isHost();
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
  mine.on('direct', ({ kind, body }) => kind === 'notice' && chat.announce(textOf(body)));
  let joined;
  try {
    joined = await mine.join(room, { since });
  } catch (error) {
    if (mine === client && mine.status.phase !== 'closed') leave(error);
    return;
  }
  live = joined;
  extras.enter(mine, joined);
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
    extras.reset();
    showTitle(joined.state.get('title'));
    showOnline(joined.online);
    showModes();
  };
  joined.on('event', show);
  joined.on('removed', (what) => {
    chat.remove(what.has);
    for (const [id, event] of flown) if (what.has(event)) danmaku.remove(own.nameOf(id));
  });
  joined.on('gap', ({ missed }) => skip(missed));
  joined.on('online', ({ count, joined: came }) => {
    showOnline(count);
    if (came) arrivals.show(came);
  });
  joined.on('fate', ({ cid, status, error }) => {
    own.fate(cid, error ? 'refused' : status);
    if (error) toast(explain(error));
  });
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

const stats = { skipped: 0 };
const flown = new Map(); // the last danmaku, by id: they may be deleted while they fly

/** How much of what is said is shown. */
function showMeter({ shown, offered, lost, merged, shed, storm }) {
  const rates = text.ofOffered(Math.round(shown), Math.round(offered));
  $('stat-rate').textContent = storm ? rates : shown.toFixed(1);
  $('stat-merged').textContent = merged.toLocaleString();
  $('stat-shed').textContent = shed.toLocaleString();
  $('stat-skipped').textContent = stats.skipped.toLocaleString();
  $('player').classList.toggle('stormy', storm);
  danmaku.density = storm ? high : calm;
  $('stormy').hidden = !storm;
  $('stormy').textContent = storm ? text.stormy(rates, lost.toLocaleString()) : '';
}

/** Shows one event of the room. Unknown kinds are left to newer pages. */
function show(event) {
  const { id, kind, from, body, n: count = 1, replayed } = event;
  const mine = from !== undefined && from.id === me.id;
  const name = clean(from?.name, 24) || clean(from?.id, 24) || '?';
  switch (kind) {
    case 'danmaku':
      if (replayed) break; // what flew by before is not flown again
      flown.set(id, event);
      if (flown.size > 500) flown.delete(flown.keys().next().value);
      if (isHost()) chat.say({ event, name, text: textOf(body), look: 'flown', own: mine });
      scene.cheer(Math.min(count, 10));
      meter.flown();
      if (!(mine && own.take(id, textOf(body), count))) fly(body, { count, own: mine, id });
      break;
    case 'tally':
      if (replayed) break;
      meter.tally(body ?? {});
      for (const [event, count] of Object.entries(body?.counts ?? {})) danmaku.update(own.nameOf(event), { count });
      break;
    case 'chat':
      scene.cheer();
      chat.say({ event, name, text: textOf(body), own: mine, old: replayed });
      break;
    case 'gift':
      if (body?.type === 'paid') chat.say({ event, name, text: textOf(body), look: 'paid', color: colorOf(body.color), own: mine, old: replayed });
      if (body?.type !== 'gift') break; // a newer one
      chat.gift({ event, combo: body.combo?.id ?? body.order, name, text: text.gave(nameOf(text, body), body.combo?.count ?? body.count), picture: picture(body.effect), own: mine, old: replayed });
      break;
    case 'notice':
      if (body?.milestone === undefined) chat.announce(textOf(body), replayed);
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

function fly(body, as) {
  // What many say finds a place first.
  danmaku.show({ text: body?.text, color: body?.color, mode: body?.mode, size: body?.size, weight: as.count, ...as });
}

// Sending.

/** Sends what was written. @returns false if it was refused */
async function say(kind, body) {
  let cid;
  try {
    const here = inRoom();
    if (kind === 'danmaku') cid = own.show(body, textOf(body));
    const { status } = await here.send(kind, body, { cid, signal: AbortSignal.timeout(patience) });
    if (cid) own.fate(cid, status);
    if (['held', 'shed', 'merged'].includes(status)) toast(text[status]);
    rest(here.modes.slow_ms ?? 0);
    return true;
  } catch (error) {
    const open = error.name === 'TimeoutError' || error.code === 'timeout'; // it may have arrived
    if (cid && !open) own.fate(cid, 'refused');
    if (error.code === 'rate_limited') rest(error.retryAfter);
    toast(explain(error));
    return false;
  }
}

function rest(ms) {
  if (ms > 0 && !isHost()) composer.rest(ms);
}

function showModes() {
  const modes = live?.modes ?? {};
  chips.set(modes);
  host.set(modes);
  if (!modes.slow_ms) composer.rest(0);
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

function explain({ name, code, reason, message, retryAfter }) {
  if (name === 'TimeoutError') return text.timeout;
  if (code === 'rate_limited') return text.tooFast(Math.max(1, Math.ceil(retryAfter / 1000)));
  if (code === 'overloaded') return text.overloaded;
  return reason || message;
}

// The page around it.

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
  $('rename-host').checked = isHost();
  $('rename').showModal();
  $('rename-name').select();
});
$('rename-cancel').addEventListener('click', () => $('rename').close());
$('rename-form').addEventListener('submit', async () => {
  const name = $('rename-name').value.trim();
  const host = $('rename-host').checked;
  if (name === '' || (name === me.name && host === isHost())) return;
  try {
    await signIn(name, host);
    enterAnew();
  } catch (error) {
    toast(error.message);
  }
});

showDanmakuToggle();
showTitle();
start();
