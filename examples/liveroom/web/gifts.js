// Gifts: the row to choose from, and the banner that one gets.

import { clean } from '/im/danmaku.js';
import { avatar } from './chat.js';
import { drawing } from './likes.js';

/** The effects that the page has drawings of. */
const drawn = ['rose', 'star', 'crown', 'rocket'];

/** The picture of a gift, by its effect. */
export const picture = (effect) => drawing(drawn.includes(effect) ? `gift-${effect}` : 'gift-box');

/** What a gift is called here. */
export const nameOf = (words, { effect, name, gift, id }) => (drawn.includes(effect) && words[effect]) || clean(name ?? gift ?? id, 24) || '?';

/** The row of gifts, which a button opens and closes. */
export class GiftRow {
  #row;
  #button;
  #items;
  #count;
  #words;
  #choose;

  /**
   * @param {HTMLElement} row with the place of the items, and the select of how many
   * @param {HTMLElement} button
   * @param words gives the name of a gift, and price
   * @param {(gift: {id: string, price: number}, count: number) => void} choose
   */
  constructor(row, button, words, choose) {
    this.#row = row;
    this.#button = button;
    this.#items = row.querySelector('.items');
    this.#count = row.querySelector('select');
    this.#words = words;
    this.#choose = choose;
    button.addEventListener('click', () => this.#open(row.hidden));
    for (const element of [row, button]) {
      element.addEventListener('keydown', (e) => e.key === 'Escape' && !row.hidden && this.#open(false));
    }
  }

  /** Shows what can be given. */
  fill(items) {
    this.#items.replaceChildren(...items.map((item) => this.#item(item)));
  }

  #item(item) {
    const button = document.createElement('button');
    button.type = 'button';
    button.dataset.gift = item.id;
    const name = document.createElement('span');
    name.textContent = nameOf(this.#words, item);
    const price = document.createElement('small');
    price.textContent = this.#words.price(item.price.toLocaleString());
    button.setAttribute('aria-label', this.#words.give(`${name.textContent}, ${price.textContent}`));
    button.append(picture(item.effect), name, price);
    button.addEventListener('click', () => this.#choose(item, Math.min(Number(this.#count.value), item.max_count)));
    return button;
  }

  #open(open) {
    this.#row.hidden = !open;
    this.#button.setAttribute('aria-expanded', open);
    if (open) (this.#items.firstElementChild ?? this.#count).focus();
    else this.#button.focus();
  }
}

const lasts = 3_500; // ms
const most = 3; // banners at a time
const queue = 20; // that wait

/** Banners over the picture, one for each combo, which counts up. */
export class Banners {
  #layer;
  #gave;
  #up = new Map(); // by combo
  #waiting = [];
  #still = matchMedia('(prefers-reduced-motion: reduce)');

  /** @param {(combo: object) => string} gave the words under the name */
  constructor(layer, gave) {
    this.#layer = layer;
    this.#gave = gave;
  }

  show(combo) {
    if (document.hidden) return;
    const { id, from, effect, count } = combo;
    const banner = this.#up.get(id) ?? this.#waiting.find((b) => b.key === id);
    if (banner) {
      banner.n = count;
      if (banner.node) this.#count(banner);
      return;
    }
    this.#waiting.push({ key: id, name: clean(from?.name ?? from?.id, 24) || '?', effect, gave: this.#gave(combo), n: count });
    if (this.#waiting.length > queue) this.#waiting.shift();
    this.#next();
  }

  /** Takes one away, which was deleted. */
  remove(id) {
    this.#waiting = this.#waiting.filter((b) => b.key !== id);
    const banner = this.#up.get(id);
    if (!banner) return;
    clearTimeout(banner.timer);
    this.#drop(banner);
  }

  #drop(banner) {
    banner.node.remove();
    this.#up.delete(banner.key);
    this.#next();
  }

  #next() {
    if (this.#up.size >= most || !this.#waiting.length) return;
    const banner = this.#waiting.shift();
    const node = (banner.node = document.createElement('div'));
    node.className = 'banner';
    if (drawn.includes(banner.effect)) node.classList.add(banner.effect);
    const words = document.createElement('p');
    const name = document.createElement('b');
    name.textContent = banner.name;
    const gave = document.createElement('span');
    gave.textContent = banner.gave;
    words.append(name, gave);
    banner.times = document.createElement('i');
    node.append(avatar(banner.name), words, picture(banner.effect), banner.times);
    this.#up.set(banner.key, banner);
    this.#layer.append(node);
    this.#count(banner);
  }

  #count(banner) {
    const { node, times, n } = banner;
    times.textContent = n > 1 ? `×${n}` : '';
    node.classList.remove('going');
    times.getAnimations().forEach((a) => a.cancel());
    if (n > 1 && !this.#still.matches) times.animate({ transform: ['scale(1.8)', 'none'] }, { duration: 250, easing: 'ease-out' });
    clearTimeout(banner.timer);
    banner.timer = setTimeout(() => {
      node.classList.add('going');
      banner.timer = setTimeout(() => this.#drop(banner), 300);
    }, lasts);
  }
}
