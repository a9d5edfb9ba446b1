// Danmaku: comments that fly over a picture. One module, no dependencies.
//
//   import { Danmaku } from './danmaku.js';
//   const stage = new Danmaku(document.querySelector('.player'));
//   stage.show({ text: 'hello', color: '#ffd54a' });
//
// What comes from other people (text, colour, mode, size, count) is cleaned,
// never trusted and never thrown at; the host's own options are checked and do
// throw. Text reaches the page as text nodes only. Styles are constructed
// sheets, so a content policy needs no 'unsafe-inline'.

/**
 * The straight path of a comment: its left edge moves from `from` to `to`
 * between the times `start` and `end` (ms), and is `width` px wide.
 * @typedef {{start: number, end: number, from: number, to: number, width: number}} Flight
 */

/**
 * The flight of a comment across a stage, from beyond the right edge until it
 * is gone. A long one is faster, but never more than twice the speed of a short one.
 * @param {number} width px, of the comment
 * @param {number} stage px, width of the stage
 * @param {number} ms a comment without width takes so long
 * @param {number} now ms
 * @param {number} [lead] starts so far outside, as a share of the stage
 * @param {number} [progress] 0..1: so much of the flight lies behind it now
 * @returns {Flight}
 */
export function scrolling(width, stage, ms, now, lead = 0, progress = 0) {
  const from = stage * (1 + lead);
  const duration = ((from + width) * ms) / (stage + Math.min(width, stage));
  const start = now - progress * duration;
  return { start, end: start + duration, from, to: -width, width };
}

/**
 * The flight of a comment that stands in the middle of a stage for ms.
 * @returns {Flight}
 */
export function standing(width, stage, ms, now, progress = 0) {
  const x = Math.max(0, Math.round((stage - width) / 2));
  const start = now - progress * ms;
  return { start, end: start + ms, from: x, to: x, width };
}

function edge({ start, end, from, to }, time) {
  return from + ((to - from) * (time - start)) / (end - start);
}

// Whether two flights in one track come closer than gap from now on. Both move
// in straight lines: what is on one side of the other at both ends of their
// common time is so all the while.
function clash(a, b, gap, now) {
  const first = Math.max(a.start, b.start, now);
  const last = Math.min(a.end, b.end);
  if (first >= last) return false;
  const side = (time) => {
    const x = edge(a, time);
    const y = edge(b, time);
    if (x + a.width + gap <= y) return -1;
    return y + b.width + gap <= x ? 1 : 0;
  };
  const before = side(first);
  return before === 0 || before !== side(last);
}

/** The tracks of a stage, from the top down: who flies where. Plain arithmetic, no page. */
export class Tracks {
  #tracks;

  /** @param {number} count how many */
  constructor(count) {
    this.#tracks = Array.from({ length: count }, () => []);
  }

  get count() {
    return this.#tracks.length;
  }

  /**
   * Takes the first `span` neighbouring tracks that are free for the whole rest
   * of the flight, and returns the number of the upper one, or -1. Only tracks
   * from `first` up to but not including `last` are tried; `up` from the bottom up; `prefer`
   * before all others, wherever it is; those of a `claim` not at all.
   */
  place(flight, now, { span = 1, gap = 0, first = 0, last = this.count, up = false, prefer = -1, claim } = {}) {
    const tries = last - span - first + 1;
    for (let i = prefer < 0 ? 0 : -1; i < tries; i++) {
      const track = i < 0 ? prefer : up ? last - span - i : first + i;
      if (claim && track < claim.track + claim.span && claim.track < track + span) continue;
      if (!this.#free(track, span, flight, gap, now)) continue;
      for (let k = track; k < track + span; k++) this.#tracks[k].push(flight);
      return track;
    }
    return -1;
  }

  /**
   * Claims the tracks that will be free first, for one that found none: in a
   * crowd a wide one would never get in, as the narrow ones fill each hole before it is
   * wide enough. The others' `place` has to heed it.
   */
  claim(span, first, last) {
    let claim;
    let soonest = Infinity;
    for (let track = first; track + span <= last; track++) {
      const end = Math.max(0, ...this.#tracks.slice(track, track + span).flat().map((flight) => flight.end));
      if (end >= soonest) continue;
      soonest = end;
      claim = { track, span };
    }
    return claim;
  }

  /** Frees what a flight holds before its end. */
  remove(flight) {
    this.#tracks = this.#tracks.map((flights) => flights.filter((other) => other !== flight));
  }

  #free(track, span, flight, gap, now) {
    if (track + span > this.count) return false;
    for (let k = track; k < track + span; k++) {
      if (this.#tracks[k].some((f) => f.end <= now)) this.#tracks[k] = this.#tracks[k].filter((f) => f.end > now);
      if (this.#tracks[k].some((f) => clash(f, flight, gap, now))) return false;
    }
    return true;
  }
}

// What has no shape of its own, but for line breaks, which become blanks, and
// the joiners that emoji and Persian need;
// U+2800 is the blank of Braille, U+FFF9.. annotate.
const unseen = /(?![\t-\r\u200c\u200d\ufe0e\ufe0f])[\p{Default_Ignorable_Code_Point}\p{Cc}\p{Cs}\ufff9-\ufffb]/gu;
const blank = /[\s\u2800]+/gu;
const piles = /(\p{M}{4})\p{M}+/gu; // of combining marks, over their neighbours' heads
const joiners = /([\u200c\u200d\ufe0e\ufe0f])[\u200c\u200d\ufe0e\ufe0f]+/gu;
const onlyJoiners = /^[\u200c\u200d\ufe0e\ufe0f\p{M}\s]*$/u;
const unitsPerGrapheme = 8; // on average, so that a single grapheme cannot be a mile long

/**
 * A text as it may be shown in one line: without control, direction-changing
 * and invisible characters, blanks collapsed, at most `limit` graphemes.
 * Whatever is not a string or has nothing to see becomes ''.
 * @param {unknown} text
 * @param {number} [limit]
 * @returns {string}
 */
export function clean(text, limit = 100) {
  if (typeof text !== 'string') return '';
  const most = (limit + 3) * unitsPerGrapheme;
  let line = text
    .slice(0, most)
    .replace(unseen, '')
    .replace(blank, ' ')
    .replace(piles, '$1')
    .replace(joiners, '$1')
    .trim();
  if (onlyJoiners.test(line)) return '';
  let cut = text.length > most;
  if (line.length > limit) {
    const parts = Intl.Segmenter ? Array.from(new Intl.Segmenter().segment(line), (part) => part.segment) : [...line];
    cut ||= parts.length > limit;
    line = parts.slice(0, limit).join('');
  }
  return cut ? `${line}…` : line;
}

/**
 * A colour as #rrggbb: from a number 0..0xffffff, '#rgb' or '#rrggbb'. Anything
 * else becomes `otherwise`.
 * @param {unknown} color
 * @param {string} [otherwise]
 * @returns {string}
 */
export function hexColor(color, otherwise = '#ffffff') {
  if (Number.isInteger(color) && color >= 0 && color <= 0xffffff) return `#${color.toString(16).padStart(6, '0')}`;
  if (typeof color !== 'string') return otherwise;
  if (/^#[\da-f]{6}$/i.test(color)) return color.toLowerCase();
  if (/^#[\da-f]{3}$/i.test(color)) return color.toLowerCase().replace(/[\da-f]/g, '$&$&');
  return otherwise;
}

// Whether a colour (#rrggbb) needs a light outline.
function isDark(color) {
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(color.slice(i, i + 2), 16));
  return 0.299 * r + 0.587 * g + 0.114 * b < 60;
}

const clamp = (value, low, high) => Math.max(low, Math.min(high, value));
const kinds = { 4: 'bottom', 5: 'top', bottom: 'bottom', top: 'top' };
const sizes = { small: 18, normal: 25, large: 36 };
const normal = sizes.normal;
const leading = 1.5; // height of a track, in font sizes
const fullest = 999; // the highest count that a badge tells
const widestBadge = `×${fullest}+`;
const ownPatience = 10_000; // ms, own comments wait longer than those of others
const reserveTime = 10_000; // ms, tracks kept free for standing comments after one found no place
const longestQueue = 60;

const times = (count) => (count > fullest ? widestBadge : count > 1 ? `×${count}` : '');
const countOf = (count) => (count > 1 ? Math.floor(count) : 1);
const faint = ['shed', 'held']; // what others do not see
const badgeOf = ({ count, status }) => times(count) || (status === 'merged' ? '+1' : '');

// A comment as it came, made harmless.
function accept({ text, mode, color, size, count, own, id, weight, status }, limit) {
  return {
    text: clean(text, limit),
    kind: (typeof mode === 'string' || typeof mode === 'number') && Object.hasOwn(kinds, mode) ? kinds[mode] : 'scroll',
    color: hexColor(color),
    // Relative to the normal size of the stage.
    scale: clamp(typeof size === 'string' && Object.hasOwn(sizes, size) ? sizes[size] : Number(size) || normal, 12, 48) / normal,
    count: countOf(count),
    own: own === true,
    id,
    status,
    weight: own === true ? Infinity : Number(weight) || 0,
  };
}

// Bounds of the options: [lowest, highest, default].
const bounds = {
  density: [0, 1, 0.75],
  opacity: [0, 1, 1],
  speed: [0.1, 10, 1],
  fontScale: [0.25, 4, 1],
  max: [1, 2000, 120],
  wait: [0, 60_000, 2_500],
  dwell: [500, 60_000, 4_000],
  duration: [1_000, 60_000, undefined],
  maxLength: [1, 1000, 100],
};

function checked(name, value) {
  const [low, high, usual] = bounds[name];
  if (value === undefined) return usual;
  if (typeof value === 'number' && value >= low && value <= high) return value;
  throw new RangeError(`Danmaku: ${name} is ${value}; set it to a number from ${low} to ${high}`);
}

const styles = `
:host { position: absolute; inset: 0; overflow: hidden; contain: strict; pointer-events: none; user-select: none; direction: ltr; }
.comment {
  position: absolute; left: 0; top: 0; display: flex; visibility: hidden; box-sizing: border-box; padding: 0 .2em;
  contain: layout style; white-space: nowrap; font-weight: 600;
  text-shadow: 0 0 2px #000, 0 1px 2px rgb(0 0 0 / .8), 1px 0 1px rgb(0 0 0 / .6), -1px 0 1px rgb(0 0 0 / .6);
}
.flying { visibility: visible; }
.dark { text-shadow: 0 0 2px #fff, 1px 0 1px #fff, -1px 0 1px #fff, 0 1px 1px #fff; }
.own { padding: 0 .4em; border-radius: .3em; box-shadow: inset 0 0 0 1.5px; background: rgb(0 0 0 / .3); }
.faint { opacity: .55; box-shadow: none; outline: 1.5px dashed; outline-offset: -1.5px; }
span { unicode-bidi: isolate; overflow: hidden; text-overflow: ellipsis; }
b { flex: none; margin-left: .4em; transform-origin: left; font-size: .72em; font-style: italic; font-variant-numeric: tabular-nums; color: #ffd54a; }
b:empty { display: none; }
.dark b { color: inherit; }
`;
let sheet; // shared by all stages; made on first use, as node has none

// The browser's clock of animations: it stands still within a frame.
const timeline = () => document.timeline.currentTime ?? performance.now();

/**
 * A layer of comments over an element, which it makes a positioned one if it
 * is not. Comments of any kind never overlap each other. The layer takes no
 * clicks and is hidden from screen readers: show the messages in a list, too.
 * It lives until `destroy`.
 */
export class Danmaku {
  #layer;
  #root;
  #life = new AbortController();
  #observer;
  #still = matchMedia('(prefers-reduced-motion: reduce)');
  #settings = {};

  // The stage, as it was measured last.
  #width = 0;
  #height = 0;
  #font = 0; // px, of normal comments
  #line = 0; // px, of a track
  #tracks = new Tracks(0);
  #reserved = { top: 0, bottom: 0 }; // until when
  #claim; // of the first in the queue: {item, track, span}

  // The stage's own clock: ms that it has run, at its speed, without pauses.
  #ran = 0;
  #since = 0; // time of the browser at which it had run #ran
  #running = false;
  #paused = false;

  #flying = new Set();
  #queue = []; // comments that wait for a track, heaviest first
  #ids = new Map(); // flying and waiting
  #nodes = []; // to use again
  #frame = 0;
  #hidden = false;

  /**
   * @param {HTMLElement} element what to fly over
   * @param {import('./danmaku.js').DanmakuOptions} [options]
   */
  constructor(element, options = {}) {
    for (const name of Object.keys(bounds)) this.#settings[name] = checked(name, options[name]);
    if (!sheet) (sheet = new CSSStyleSheet()).replaceSync(styles);
    this.#layer = document.createElement('danmaku-layer'); // no rule of the page for its divs fits
    this.#layer.setAttribute('aria-hidden', 'true');
    this.#layer.style.opacity = this.#settings.opacity;
    this.#root = this.#layer.attachShadow({ mode: 'open' });
    this.#root.adoptedStyleSheets = [sheet];
    if (getComputedStyle(element).position === 'static') element.style.position = 'relative';
    element.append(this.#layer);

    const { signal } = this.#life;
    document.addEventListener('visibilitychange', () => this.#look(), { signal });
    this.#still.addEventListener('change', () => this.#layout(), { signal });
    this.#observer = new ResizeObserver(([{ contentRect }]) => this.#resize(contentRect.width, contentRect.height));
    this.#observer.observe(this.#layer);
    this.#resize(this.#layer.clientWidth, this.#layer.clientHeight);
    this.#look();
  }

  /**
   * Shows a comment. Resolves to true once it flies, and to false if it is
   * dropped: nothing in it to see, no place for it within `wait`, stage
   * paused, hidden or destroyed, or the page in the background. Never rejects. A
   * comment whose id is still here is not shown twice: its count becomes the new one.
   * @param {import('./danmaku.js').Comment} comment
   * @returns {Promise<boolean>}
   */
  show(comment) {
    const known = this.#known(comment.id);
    if (known) {
      if (comment.count !== undefined) this.update(known.id, { count: comment.count });
      return known.shown;
    }
    const item = accept(comment, this.#settings.maxLength);
    const deaf = this.#life.signal.aborted || this.#hidden || document.hidden || (this.#paused && !item.own);
    if (deaf || item.text === '') return Promise.resolve(false);
    item.shown = new Promise((resolve) => (item.settle = resolve));
    item.since = this.#now();
    if (item.id !== undefined) this.#ids.set(item.id, item);
    const lighter = this.#queue.findIndex((other) => other.weight < item.weight);
    this.#queue.splice(lighter < 0 ? this.#queue.length : lighter, 0, item);
    if (this.#queue.length > longestQueue) this.#land(this.#queue.pop());
    this.#wake();
    return item.shown;
  }

  /**
   * Changes the ×N of a comment that flies or waits, and what became of it:
   * `merged` has a +1, `shed` and `held`, which others do not see, are faint. What is
   * left out stays. False if there is none with this id (any more).
   * @param {string | number} id
   * @param {{count?: number, status?: string}} change
   * @returns {boolean}
   */
  update(id, { count, status }) {
    const item = this.#known(id);
    if (!item) return false;
    const before = badgeOf(item);
    const grown = count > item.count;
    if (count !== undefined) item.count = countOf(count);
    if (status !== undefined) item.status = status;
    if (!item.flight) return true;
    const { element, badge } = item.node;
    for (const list of [element.classList, element.part]) list.toggle('faint', faint.includes(item.status));
    const after = badgeOf(item);
    if (after === before && !grown) return true;
    badge.textContent = after;
    if ((grown || before === '') && !this.#still.matches) badge.animate({ transform: ['scale(1.4)', 'none'] }, 200);
    return true;
  }

  /** Takes a comment away, as when a moderator does. False if it is not here. */
  remove(id) {
    const item = this.#known(id);
    if (!item) return false;
    this.#queue = this.#queue.filter((other) => other !== item);
    if (item.flight) this.#tracks.remove(item.flight);
    this.#land(item);
    return true;
  }

  /** Takes all comments away. */
  clear() {
    const all = [...this.#flying, ...this.#queue];
    this.#queue = [];
    this.#tracks = new Tracks(this.#tracks.count);
    all.forEach((item) => this.#land(item));
  }

  /** Freezes what flies. Until `resume` only own comments are taken; they fly then. */
  pause() {
    this.#paused = true;
    this.#look();
  }

  resume() {
    this.#paused = false;
    this.#look();
  }

  get paused() {
    return this.#paused;
  }

  /** Takes all comments away, and takes no others until `reveal`. */
  hide() {
    this.#hidden = true;
    this.clear();
  }

  reveal() {
    this.#hidden = false;
  }

  get hidden() {
    return this.#hidden;
  }

  /** How many comments are on the stage. */
  get size() {
    return this.#flying.size;
  }

  get opacity() {
    return this.#settings.opacity;
  }

  set opacity(value) {
    this.#layer.style.opacity = this.#set('opacity', value);
  }

  get density() {
    return this.#settings.density;
  }

  set density(value) {
    this.#set('density', value);
  }

  get speed() {
    return this.#settings.speed;
  }

  set speed(value) {
    checked('speed', value);
    this.#clock(this.#running, () => this.#set('speed', value));
  }

  get fontScale() {
    return this.#settings.fontScale;
  }

  set fontScale(value) {
    this.#set('fontScale', value);
    this.#layout();
  }

  /** Ends everything and removes the layer. More than once does no harm. */
  destroy() {
    this.#life.abort();
    this.#observer.disconnect();
    cancelAnimationFrame(this.#frame);
    this.clear();
    this.#layer.remove();
  }

  #set(name, value) {
    return (this.#settings[name] = checked(name, value));
  }

  #known(id) {
    return id === undefined ? undefined : this.#ids.get(id);
  }

  // The clock.

  #now() {
    return this.#running ? this.#ran + (timeline() - this.#since) * this.#settings.speed : this.#ran;
  }

  #clock(running, change = () => {}) {
    this.#ran = this.#now();
    this.#since = timeline();
    this.#running = running;
    change();
    this.#flying.forEach((item) => this.#sync(item));
  }

  // Stops the clock at once, or has it started by the next frame: the
  // browser's clock is stale until then if the page was in the background.
  #look() {
    if (document.hidden) {
      const stale = this.#queue.filter((item) => !item.own);
      this.#queue = this.#queue.filter((item) => item.own);
      stale.forEach((item) => this.#land(item));
    }
    if (document.hidden || this.#paused) this.#clock(false);
    else this.#wake();
  }

  // Gives an animation the time of the stage.
  #sync({ animation, flight }) {
    const { speed } = this.#settings;
    const played = this.#now() - flight.start;
    if (animation.playbackRate !== speed) animation.playbackRate = speed;
    if (this.#running) {
      animation.startTime = timeline() - played / speed;
    } else {
      animation.pause();
      animation.currentTime = played;
    }
  }

  #wake() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      if (this.#paused || document.hidden || this.#life.signal.aborted) return;
      if (!this.#running) this.#clock(true);
      this.#admit();
      if (this.#queue.length > 0) this.#wake();
    });
  }

  // The layout.

  #resize(width, height) {
    if (width === this.#width && height === this.#height) return;
    this.#width = width;
    this.#height = height;
    this.#layout();
  }

  // Places everything anew. What was half-way across stays half-way across, in
  // its track if it can; what finds no place any more is dropped.
  #layout() {
    this.#font = clamp(this.#height / 24, 14, normal) * this.#settings.fontScale;
    this.#line = Math.round(this.#font * leading);
    this.#tracks = new Tracks(Math.floor(this.#height / this.#line));
    this.#claim = undefined;
    const flying = [...this.#flying];
    const waiting = this.#queue.filter((item) => item.node);
    this.#measure([...flying, ...waiting]);
    const now = this.#now();
    for (const item of flying) {
      const { start, end } = item.flight;
      const flight = this.#flight(item, now, (now - start) / (end - start));
      const track = this.#place(item, flight, now, item.track);
      if (track < 0) this.#land(item);
      else this.#fly(item, flight, track);
    }
  }

  // All writes first, then all reads: the browser lays out once.
  #measure(items) {
    for (const item of items) {
      item.node ||= this.#dress(item);
      const { element, badge } = item.node;
      const font = this.#font * item.scale;
      item.span = clamp(Math.ceil((font * 1.3) / this.#line), 1, Math.max(1, this.#tracks.count));
      const height = item.span * this.#line;
      element.style.fontSize = `${Math.min(font, height / 1.3)}px`;
      element.style.height = element.style.lineHeight = `${height}px`;
      element.style.maxWidth = '';
      // A count that may rise gets the room for it now.
      badge.textContent = item.id === undefined ? badgeOf(item) : widestBadge;
    }
    for (const item of items) item.width = item.node.element.offsetWidth + 1;
    for (const item of items) item.node.badge.textContent = badgeOf(item);
  }

  #dress({ text, color, own, status }) {
    const node = this.#nodes.pop() ?? this.#build();
    node.label.textContent = text;
    node.element.style.color = color;
    const looks = `comment${own ? ' own' : ''}${isDark(color) ? ' dark' : ''}${faint.includes(status) ? ' faint' : ''}`;
    node.element.className = looks;
    node.element.setAttribute('part', looks);
    return node;
  }

  #build() {
    const element = document.createElement('div');
    const label = document.createElement('span');
    const badge = document.createElement('b');
    label.dir = 'auto';
    element.append(label, badge);
    this.#root.append(element);
    return { element, label, badge };
  }

  // The flights.

  // Starts what finds a free track, and gives up what has waited too long.
  #admit() {
    this.#measure(this.#queue.filter((item) => !item.node));
    const now = this.#now();
    let wave = 0;
    if (this.#claim?.item !== this.#queue[0]) this.#claim = undefined;
    const gone = this.#queue.filter((item) => {
      if (this.#launch(item, now, wave)) {
        wave++;
        return true;
      }
      if (now - item.since < this.#patience(item)) return false;
      this.#land(item);
      return true;
    });
    if (gone.length > 0) this.#queue = this.#queue.filter((item) => !gone.includes(item));
  }

  // Standing ones need longer, until those that scroll have left the middle.
  #patience({ own, kind }) {
    if (own) return ownPatience;
    return this.#settings.wait * (kind === 'scroll' ? 1 : 2);
  }

  #launch(item, now, wave) {
    if (!item.own && this.#flying.size >= this.#settings.max) return false;
    // Many at once do not march in step: they come from differently far.
    item.lead = (wave * 0.618) % 1 * 0.2;
    const flight = this.#flight(item, now);
    const track = this.#place(item, flight, now);
    if (track < 0) {
      if (item === this.#queue[0] && flight.from !== flight.to) {
        this.#claim ??= { item, ...this.#tracks.claim(item.span, ...this.#range(item, now)) };
      }
      return false;
    }
    this.#flying.add(item);
    this.#fly(item, flight, track);
    item.settle(true);
    return true;
  }

  // Where motion is unwanted all comments stand; one that is wider than the
  // stage has to scroll to be read.
  #flight(item, now, progress) {
    const { dwell, duration } = this.#settings;
    const still = this.#still.matches;
    if (still || (item.kind !== 'scroll' && item.width <= this.#width)) {
      return standing(still ? Math.min(item.width, this.#width) : item.width, this.#width, dwell, now, progress);
    }
    const ms = duration ?? clamp(this.#width / 160, 5, 10) * 1000;
    return scrolling(item.width, this.#width, ms, now, item.lead, progress);
  }

  #place(item, flight, now, prefer) {
    const { kind, span } = item;
    const gap = this.#font / (prefer === undefined ? 1 : 4);
    const [first, last] = this.#range(item, now);
    const claim = this.#claim?.item === item ? undefined : this.#claim;
    const track = this.#tracks.place(flight, now, { span, gap, prefer, first, last, claim, up: kind === 'bottom' });
    if (kind !== 'scroll' && (track < 0 || now < this.#reserved[kind])) this.#reserved[kind] = now + reserveTime;
    return track;
  }

  // The tracks for a comment, [first, last). Standing ones stay in their half of
  // the stage. After none of its tracks was clear for one, those at the edge let
  // no others in for a while.
  #range({ kind, span }, now) {
    const { count } = this.#tracks;
    if (kind === 'scroll') {
      const edge = Math.min(Math.ceil(count / 8), Math.floor(count / 3));
      const first = now < this.#reserved.top ? Math.min(edge, Math.max(0, count - span)) : 0;
      const last = Math.min(now < this.#reserved.bottom ? count - edge : count, Math.round(count * this.#settings.density));
      return [first, Math.min(count, Math.max(last, first + span))];
    }
    const half = Math.min(count, Math.max(span, Math.ceil(count / 2)));
    return kind === 'top' ? [0, half] : [count - half, count];
  }

  #fly(item, flight, track) {
    const { element } = item.node;
    item.flight = flight;
    item.track = track;
    item.animation?.cancel();
    const at = (x) => `translate(${x}px, ${track * this.#line}px)`;
    const keyframes = { transform: [at(flight.from), at(flight.to)] };
    item.animation = element.animate(keyframes, { duration: flight.end - flight.start, fill: 'both' });
    item.animation.onfinish = () => this.#land(item);
    this.#sync(item);
    if (flight.from === flight.to) element.style.maxWidth = `${this.#width}px`;
    element.classList.add('flying');
  }

  // The end of a comment, wherever it was.
  #land(item) {
    item.settle(false);
    this.#flying.delete(item);
    if (item.id !== undefined) this.#ids.delete(item.id);
    if (item.animation) item.animation.onfinish = null;
    item.animation?.cancel();
    if (!item.node) return;
    item.node.element.classList.remove('flying');
    this.#nodes.push(item.node);
    item.node = undefined;
  }
}
