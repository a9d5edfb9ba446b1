// Gifts: the row to choose from, and the banner that one gets.

import { avatar } from './chat.js';
import { drawing } from './likes.js';

/** What the server knows as gifts; each has a drawing in the page. */
export const gifts = ['rose', 'star', 'crown', 'rocket'];

export const isGift = (name) => gifts.includes(name);

/** The picture of a gift. */
export const picture = (gift) => drawing(`gift-${gift}`);

/** The row of gifts, which a button opens and closes. */
export class GiftRow {
  #row;
  #button;

  /**
   * @param {HTMLElement} row
   * @param {HTMLElement} button
   * @param words gives the name of a gift, and give(name) for its button
   * @param {(gift: string) => void} choose
   */
  constructor(row, button, words, choose) {
    this.#row = row;
    this.#button = button;
    for (const gift of gifts) {
      const item = document.createElement('button');
      item.type = 'button';
      item.dataset.gift = gift;
      item.setAttribute('aria-label', words.give(words[gift]));
      const name = document.createElement('span');
      name.textContent = words[gift];
      item.append(picture(gift), name);
      item.addEventListener('click', () => choose(gift));
      row.append(item);
    }
    button.addEventListener('click', () => this.#open(row.hidden));
    for (const element of [row, button]) {
      element.addEventListener('keydown', (e) => e.key === 'Escape' && !row.hidden && this.#open(false));
    }
  }

  #open(open) {
    this.#row.hidden = !open;
    this.#button.setAttribute('aria-expanded', open);
    if (open) this.#row.firstElementChild.focus();
    else this.#button.focus();
  }
}

const lasts = 3_500; // ms
const most = 3; // banners at a time
const queue = 20; // that wait

/** Banners over the picture. Equal gifts of one person count up in one banner. */
export class Banners {
  #layer;
  #gave;
  #up = new Map(); // by person and gift
  #waiting = [];

  /** @param {(gift: string) => string} gave the words under the name */
  constructor(layer, gave) {
    this.#layer = layer;
    this.#gave = gave;
  }

  show({ id, name, gift }) {
    if (document.hidden) return;
    const key = `${gift} ${id}`;
    const banner = this.#up.get(key) ?? this.#waiting.find((b) => b.key === key);
    if (banner) {
      banner.n++;
      if (banner.node) this.#count(banner);
      return;
    }
    this.#waiting.push({ key, name, gift, n: 1 });
    if (this.#waiting.length > queue) this.#waiting.shift();
    this.#next();
  }

  #next() {
    if (this.#up.size >= most || !this.#waiting.length) return;
    const banner = this.#waiting.shift();
    const node = (banner.node = document.createElement('div'));
    node.className = `banner ${banner.gift}`;
    const words = document.createElement('p');
    const name = document.createElement('b');
    name.textContent = banner.name;
    const gave = document.createElement('span');
    gave.textContent = this.#gave(banner.gift);
    words.append(name, gave);
    banner.times = document.createElement('i');
    node.append(avatar(banner.name), words, picture(banner.gift), banner.times);
    this.#up.set(banner.key, banner);
    this.#layer.append(node);
    this.#count(banner);
  }

  #count(banner) {
    const { node, times, n } = banner;
    times.textContent = n > 1 ? `×${n}` : '';
    node.classList.remove('going');
    times.getAnimations().forEach((a) => a.cancel());
    if (n > 1) times.animate({ transform: ['scale(1.8)', 'none'] }, { duration: 250, easing: 'ease-out' });
    clearTimeout(banner.timer);
    banner.timer = setTimeout(() => {
      node.classList.add('going');
      banner.timer = setTimeout(() => {
        node.remove();
        this.#up.delete(banner.key);
        this.#next();
      }, 300);
    }, lasts);
  }
}
