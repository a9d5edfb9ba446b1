// A recorded room: what was said in it flies over the picture again, at the player's clock.

import { connect } from '/im/client.js';
import { clean, Danmaku } from '/im/danmaku.js';
import { FakePlayer } from './fakeplayer.js';
import { Scene } from './scene.js';
import { text, translate } from './text.js';

const $ = (id) => document.getElementById(id);
const room = document.documentElement.dataset.room;
const kinds = ['danmaku'];
const tail = 5; // seconds for which the last danmaku may fly

translate(document);
const scene = new Scene($('scene'));
const danmaku = new Danmaku($('danmaku'));
$('title').textContent = text.title(room);
$('play').textContent = text.play;

function showStatus({ phase, error }) {
  $('badge').dataset.status = phase;
  $('badge-text').textContent = phase === 'closed' ? text.closedBecause(error?.reason || error?.code || '') : phase === 'waiting' ? text.waiting(1) : (text[phase] ?? phase);
}

/** Enters the room as a guest, and looks for the first and the last danmaku. */
async function open() {
  const response = await fetch('/guest', { method: 'POST', body: new URLSearchParams({ name: '', host: false }) });
  if (!response.ok) throw new Error(await response.text());
  const client = connect('/im');
  client.on('status', showStatus);
  const joined = await client.join(room, { tier: 'critical' }); // what is said now is of no interest here
  const first = (await joined.pages({ kinds, max: 1 }).next()).value;
  const last = (await joined.pages({ kinds, max: 1, newest: true }).next()).value;
  if (!first || !last) {
    $('remark').textContent = text.nothingRecorded;
    return;
  }
  show(joined, first.events[0].at, last.events[0].at);
}

function show(joined, from, last) {
  const player = new FakePlayer((last - from) / 1000 + tail);
  const replay = joined.replay({ from, to: last + 1, kinds });
  let shown = 0;
  replay.on('event', ({ body, n: count = 1 }) => {
    scene.cheer(Math.min(count, 10));
    danmaku.show({ text: body?.text ?? body, color: body?.color, mode: body?.mode, size: body?.size, count, weight: count });
    $('remark').textContent = text.replayed((++shown).toLocaleString());
  });
  replay.on('seek', () => danmaku.clear());
  replay.on('error', (error) => ($('remark').textContent = clean(error.reason || error.code)));
  replay.attach(player);

  const clock = () => {
    $('clock').value = `${minutes(player.currentTime)} / ${minutes(player.duration)}`;
    if (!held) $('bar').value = player.currentTime;
  };
  let held = false; // the visitor moves the bar
  $('bar').max = player.duration;
  $('bar').addEventListener('input', () => (held = true));
  $('bar').addEventListener('change', () => {
    held = false;
    player.currentTime = Number($('bar').value);
  });
  $('play').addEventListener('click', () => (player.paused ? player.play() : player.pause()));
  $('rate').addEventListener('change', () => (player.playbackRate = Number($('rate').value)));
  player.addEventListener('timeupdate', clock);
  player.addEventListener('ratechange', () => (danmaku.speed = player.playbackRate));
  player.addEventListener('play', () => {
    danmaku.resume();
    $('play').textContent = text.pause;
  });
  player.addEventListener('pause', () => {
    danmaku.pause();
    $('play').textContent = text.play;
  });
  $('bar').disabled = $('play').disabled = false;
  clock();
}

function minutes(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}

open().catch((error) => showStatus({ phase: 'closed', error: { reason: error.message } }));
