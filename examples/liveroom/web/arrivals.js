// Who came in: the names of the first, and how many there were.

import { clean } from '/im/danmaku.js';

const shownFor = 4000; // ms

export class Arrivals {
  #line;
  #words;
  #timer = 0;

  /**
   * @param {HTMLElement} line
   * @param words came and comma
   */
  constructor(line, words) {
    this.#line = line;
    this.#words = words;
  }

  show({ names, n }) {
    const shown = names.map((name) => clean(name, 24) || '?');
    this.#line.textContent = this.#words.came(shown.join(this.#words.comma), n - shown.length);
    this.#line.hidden = false;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => (this.#line.hidden = true), shownFor);
  }
}
