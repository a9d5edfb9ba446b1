// The layer of comments that fly over the picture.

import { Tracks } from './tracks.js';

const flightTime = 8_000; // ms, from edge to edge
const standTime = 4_000; // ms, of comments that stand still
const patience = 2_500; // ms, for a free track; late comments make no sense
const longestQueue = 60;
const modes = { bottom: 4, top: 5, reverse: 6 };

export class Danmaku {
  #layer;
  #tracks = new Tracks(24);
  #queue = []; // comments that wait for a free track
  #width = 0;
  #line = 0; // height of a track
  #scheduled = false;
  #enabled = true;
  #still = matchMedia('(prefers-reduced-motion: reduce)');

  constructor(layer) {
    this.#layer = layer;
    new ResizeObserver(() => this.#measure()).observe(layer);
    this.#measure();
  }

  get enabled() {
    return this.#enabled;
  }

  set enabled(on) {
    this.#enabled = on;
    if (!on) this.clear();
  }

  clear() {
    this.#queue = [];
    this.#tracks.clear();
    this.#layer.replaceChildren();
  }

  /** Shows a comment: {text, color, mode, size, count, own}. */
  show(comment) {
    if (!this.#enabled || document.hidden) return;
    const waiting = { comment, since: performance.now(), element: null, width: 0 };
    if (comment.own) this.#queue.unshift(waiting);
    else if (this.#queue.length < longestQueue) this.#queue.push(waiting);
    this.#schedule();
  }

  #measure() {
    this.#width = this.#layer.clientWidth;
    this.#line = Math.max(22, Math.min(38, this.#layer.clientHeight / 14));
    this.#layer.style.setProperty('--line', `${this.#line}px`);
    // A strip at the bottom stays free, for what the picture itself has to say.
    this.#tracks.resize(Math.max(1, Math.floor((this.#layer.clientHeight * 0.86) / this.#line)));
  }

  #schedule() {
    if (this.#scheduled || this.#queue.length === 0) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.#admit();
      this.#schedule();
    });
  }

  // Starts what finds a free track, and gives up what has waited too long.
  #admit() {
    // All elements first, then all widths: the browser lays out once.
    for (const waiting of this.#queue) {
      if (!waiting.element) this.#layer.append((waiting.element = this.#element(waiting.comment)));
    }
    for (const waiting of this.#queue) waiting.width ||= waiting.element.offsetWidth;
    const now = performance.now();
    this.#queue = this.#queue.filter((waiting) => {
      if (this.#launch(waiting)) return false;
      if (now - waiting.since < patience) return true;
      waiting.element.remove();
      return false;
    });
  }

  #launch({ comment, element, width }) {
    const flight = this.#flight(comment, width);
    const span = comment.size >= 30 ? 2 : 1;
    const track = this.#tracks.place(flight, { span, bottom: comment.mode === modes.bottom });
    if (track < 0) return false;
    element.style.top = `${track * this.#line}px`;
    element.classList.add('flying');
    const animation = element.animate(
      { transform: [`translateX(${flight.from}px)`, `translateX(${flight.to}px)`] },
      { duration: flight.end - flight.start, fill: 'both' },
    );
    // Without this it would start with the next frame, which may be late.
    animation.startTime = flight.start;
    animation.finished.then(() => element.remove(), () => {});
    return true;
  }

  #element({ text, color, size, count, own }) {
    const element = document.createElement('span');
    element.className = 'comment';
    element.textContent = text;
    element.style.color = color;
    if (isDark(color)) element.classList.add('dark');
    if (own) element.classList.add('own');
    if (size >= 30) element.classList.add('large');
    if (size < 22) element.classList.add('small');
    if (count > 1) {
      const times = document.createElement('b');
      times.textContent = `×${count}`;
      element.append(times);
    }
    return element;
  }

  #flight({ mode }, width) {
    const start = document.timeline.currentTime;
    const still = mode === modes.top || mode === modes.bottom || this.#still.matches;
    if (still) {
      const x = Math.max(0, (this.#width - width) / 2);
      return { start, end: start + standTime, from: x, to: x, width };
    }
    // All cross the screen in the same time: long ones are a little faster.
    const time = this.#width < 600 ? flightTime * 0.75 : flightTime;
    const [from, to] = mode === modes.reverse ? [-width, this.#width] : [this.#width, -width];
    return { start, end: start + time, from, to, width };
  }
}

// Whether a colour (#rrggbb) needs a light outline.
function isDark(color) {
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(color.slice(i, i + 2), 16));
  return 0.299 * r + 0.587 * g + 0.114 * b < 60;
}
