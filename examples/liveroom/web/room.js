// The page of a live room: ties the connection to what is seen.

import { avatar, Chat } from './chat.js';
import { Connection } from './connection.js';
import { Danmaku } from './danmaku.js';
import { Scene } from './scene.js';
import { text, translate } from './text.js';

const $ = (id) => document.getElementById(id);
const colors = ['#ffffff', '#fe5050', '#ff9a3c', '#ffd302', '#42d77d', '#4ab8ff', '#a98bff', '#ff7ac0'];
const room = document.documentElement.dataset.room;

translate(document);
const scene = new Scene($('scene'));
const danmaku = new Danmaku($('danmaku'));
const chat = new Chat($('messages'), $('newer'), text.newer);
let me = { id: '', name: '' };

// Identity: a cookie that only the server reads. The name goes along, since the
// server of the demo forgets its guests when it restarts.

async function signIn(name) {
  const response = await fetch('guest', { method: 'POST', body: new URLSearchParams({ name }) });
  if (!response.ok) throw new Error(await response.text());
  showMe(await response.json());
}

function showMe(user) {
  me = user;
  $('me-name').textContent = user.name;
  $('me-avatar').replaceWith(Object.assign(avatar(user.name), { id: 'me-avatar' }));
}

// The room.

const mount = new URL('im/ws', location.href);
mount.protocol = mount.protocol.replace('http', 'ws');
mount.search = '';
const connection = new Connection({ url: mount, room, identify: () => signIn(me.name) });

connection.addEventListener('status', ({ detail }) => showStatus(detail));
connection.addEventListener('welcome', ({ detail }) => showMe(detail));
connection.addEventListener('online', ({ detail }) => {
  $('online').textContent = detail.toLocaleString();
});
connection.addEventListener('gap', ({ detail }) => skip(detail));
connection.addEventListener('latency', ({ detail }) => {
  $('stat-latency').textContent = `${Math.max(1, Math.round(detail))} ms`;
});
connection.addEventListener('direct', ({ detail }) => chat.announce(textOf(detail.body)));
connection.addEventListener('joined', ({ detail }) => {
  const { recovered, missed, state, events, fresh } = detail;
  if (!recovered) {
    chat.clear();
    if (!fresh) chat.remark(text.renewed);
  }
  showTitle(state.title?.value);
  // History fills the list; what flew by before is not flown again.
  for (const event of events) if (recovered || event.kind !== 'danmaku') show(event);
  if (missed > 0) skip(missed);
  else if (recovered && !fresh) chat.remark(text.resumed);
});
connection.addEventListener('events', ({ detail }) => detail.forEach(show));

function skip(missed) {
  stats.skipped += missed;
  chat.remark(text.missed(missed));
}

const stats = { flown: 0, merged: 0, skipped: 0, since: performance.now() };
setInterval(() => {
  const now = performance.now();
  $('stat-rate').textContent = ((stats.flown * 1000) / (now - stats.since)).toFixed(1);
  $('stat-merged').textContent = stats.merged.toLocaleString();
  $('stat-skipped').textContent = stats.skipped.toLocaleString();
  stats.flown = 0;
  stats.since = now;
}, 2000);

/** Shows one event of the room. Unknown kinds are left to newer pages. */
function show({ kind, from, body, n = 1 }) {
  const own = from !== undefined && from.id === me.id;
  switch (kind) {
    case 'danmaku':
      scene.cheer(Math.min(n, 10));
      stats.flown++;
      stats.merged += n - 1;
      if (!(own && echoes.take(textOf(body)))) danmaku.show({ ...looks(body), count: n, own });
      break;
    case 'chat':
      scene.cheer();
      chat.say({ name: from?.name || from?.id || '?', text: textOf(body), own });
      break;
    case 'notice':
      chat.announce(textOf(body));
      break;
    case 'state':
      if (body.key === 'title') showTitle(body.value);
      break;
  }
}

function showTitle(title) {
  const shown = typeof title === 'string' && title !== '' ? title : text.title(room);
  $('title').textContent = shown;
  document.title = shown;
}

// Bodies come from other people: nothing in them is taken for granted.

function textOf(body) {
  if (typeof body?.text !== 'string') return '';
  return [...body.text].slice(0, 200).join('');
}

function looks(body) {
  const line = textOf(body).replace(/\s+/g, ' ').trim(); // a track is one line high
  const color = /^#[0-9a-f]{6}$/i.test(body?.color) ? body.color : '#ffffff';
  return { text: line, color, mode: Number(body?.mode) || 1, size: Number(body?.size) || 25 };
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
    const fate = connection.send(kind, body);
    if (kind === 'danmaku') {
      echoes.add(line);
      danmaku.show({ ...looks(body), count: 1, own: true });
    }
    if ((await fate).status === 'held') toast(text.held);
  } catch (error) {
    if ($('text').value === '') $('text').value = line;
    showSendable();
    toast(explain(error));
  }
});

function explain({ code, message, retryMs }) {
  switch (code) {
    case 'rate_limited':
      return text.tooFast(Math.max(1, Math.ceil(retryMs / 1000)));
    case 'overloaded':
      return text.overloaded;
    case 'timeout':
      return text.timeout;
  }
  return message;
}

// The page around it.

function chosen(name) {
  return $('composer').elements[name].value;
}

function showSendable() {
  $('send').disabled = $('text').value.trim() === '';
}

function showKind() {
  const flying = chosen('kind') === 'danmaku';
  $('text').placeholder = flying ? text.sayDanmaku : text.sayChat;
  $('text').setAttribute('aria-label', $('text').placeholder);
  $('colors').hidden = !flying;
}

let countdown = 0;
function showStatus({ status, delay = 0, error }) {
  clearInterval(countdown);
  const until = Date.now() + delay;
  const update = () => {
    const words = text[status];
    const label = typeof words === 'function' ? words(Math.ceil((until - Date.now()) / 1000)) : words;
    $('badge-text').textContent = status === 'stopped' && error ? text.stoppedBecause(error.message) : label;
  };
  update();
  $('badge').dataset.status = status;
  if (status === 'waiting') countdown = setInterval(update, 500);
}

let toastTimer = 0;
function toast(message) {
  $('toast').textContent = message;
  $('toast').hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => ($('toast').hidden = true), 4000);
}

function showDanmakuToggle() {
  const button = $('toggle-danmaku');
  button.setAttribute('aria-pressed', danmaku.enabled);
  button.textContent = danmaku.enabled ? text.danmakuOn : text.danmakuOff;
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
  danmaku.enabled = !danmaku.enabled;
  showDanmakuToggle();
});
$('fullscreen').addEventListener('click', () => {
  if (document.fullscreenElement) document.exitFullscreen();
  else $('player').requestFullscreen?.();
});
$('fullscreen').hidden = !document.fullscreenEnabled;

$('me').addEventListener('click', () => {
  $('rename-name').value = me.name;
  $('rename').showModal();
  $('rename-name').select();
});
$('rename-cancel').addEventListener('click', () => $('rename').close());
$('rename-form').addEventListener('submit', async () => {
  const name = $('rename-name').value.trim();
  if (name === '' || name === me.name) return;
  try {
    await signIn(name);
    connection.restart();
  } catch (error) {
    toast(error.message);
  }
});

showKind();
showDanmakuToggle();
showTitle();
