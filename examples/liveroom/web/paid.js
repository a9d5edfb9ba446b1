// Paid messages: the form, and the cards that stand above the messages for a while.

import { clean } from '/im/danmaku.js';

const plainColor = '#1565c0';
/** A colour is in the words of the host: only what is one counts. */
export const colorOf = (color) => (/^#[0-9a-f]{6}$/i.test(color) ? color : plainColor);

/** The dialog in which one is written. */
export class PaidForm {
  #dialog;
  #form;
  #words;
  #tiers = [];

  /**
   * @param {HTMLDialogElement} dialog
   * @param {HTMLElement} button opens it
   * @param words
   * @param {(text: string, amount: number) => Promise<boolean>} pay says false if it was refused
   */
  constructor(dialog, button, words, pay) {
    this.#dialog = dialog;
    this.#words = words;
    const form = (this.#form = dialog.querySelector('form'));
    button.addEventListener('click', () => dialog.showModal());
    form.addEventListener('change', () => this.#show());
    form.elements.text.addEventListener('input', () => this.#show());
    dialog.querySelector('.plain').addEventListener('click', () => dialog.close());
    form.addEventListener('submit', async (e) => {
      e.preventDefault();
      const send = form.querySelector('[type=submit]');
      if (send.disabled) return;
      send.disabled = true; // one press, one payment
      const paid = await pay(form.elements.text.value.trim(), this.#tier.amount);
      if (paid) {
        form.elements.text.value = '';
        dialog.close();
      }
      this.#show();
    });
  }

  /** The amounts to choose from. */
  fill(tiers) {
    this.#tiers = tiers;
    const steps = this.#form.querySelector('.steps');
    steps.replaceChildren(...tiers.map(({ amount, color }, i) => {
      const input = Object.assign(document.createElement('input'), { type: 'radio', name: 'amount', value: String(amount), checked: i === Math.min(1, tiers.length - 1) });
      const words = Object.assign(document.createElement('span'), { textContent: this.#words.price(amount.toLocaleString()) });
      const label = document.createElement('label');
      label.style.setProperty('--paid', colorOf(color));
      label.append(input, words);
      return label;
    }));
    this.#show();
  }

  get #tier() {
    const amount = Number(this.#form.elements.amount?.value);
    return this.#tiers.find((t) => t.amount === amount) ?? this.#tiers[0];
  }

  #show() {
    const { text } = this.#form.elements;
    const tier = this.#tier;
    const send = this.#form.querySelector('[type=submit]');
    send.disabled = !tier || text.value.trim() === '';
    if (!tier) return;
    text.maxLength = tier.max_length;
    this.#dialog.style.setProperty('--paid', colorOf(tier.color));
    this.#form.querySelector('output').textContent = this.#words.buys(tier.max_length, Math.round((tier.pin_ms ?? 0) / 60_000));
    send.textContent = this.#words.pay(tier.amount.toLocaleString());
  }
}

/** The cards: paid messages, and what the staff has pinned. */
export class Pins {
  #list;
  #words;
  #now;
  #unpin;
  #cards = new Map(); // by id: {node, time, until}
  #timer = 0;

  /**
   * @param {HTMLElement} list
   * @param words
   * @param {() => number} now the server's clock, ms
   * @param {(id: string) => void} unpin
   */
  constructor(list, words, now, unpin) {
    this.#list = list;
    this.#words = words;
    this.#now = now;
    this.#unpin = unpin;
  }

  /** Shows these and no others. @param may whether the visitor may take pins of the staff away */
  show(paid, pinned, may) {
    const all = [
      ...pinned.map((p) => ({ id: `mod ${p.id}`, unpin: may && p.id, name: clean(p.from, 24) || this.#words.pinned, text: clean(p.text, 300), until: Date.parse(p.until) })),
      ...paid.map((p) => ({ id: `paid ${p.order}`, color: colorOf(p.color), name: clean(p.from?.name ?? p.from?.id, 24) || '?', price: this.#words.price(Number(p.amount).toLocaleString()), text: clean(p.text, 300), until: p.until })),
    ].filter((p) => !(p.until <= this.#now()));
    const ids = new Set(all.map((p) => p.id));
    for (const [id, { node }] of this.#cards) {
      if (ids.has(id)) continue;
      if (node.contains(document.activeElement)) this.#list.focus();
      node.remove();
      this.#cards.delete(id);
    }
    all.forEach((p, i) => {
      const card = this.#cards.get(p.id) ?? this.#card(p);
      if (this.#list.children[i] !== card.node) this.#list.insertBefore(card.node, this.#list.children[i] ?? null);
      card.button.hidden = !p.unpin;
    });
    this.#list.hidden = all.length === 0;
    this.#again = () => this.show(paid, pinned, may);
    clearInterval(this.#timer);
    this.#timer = all.length ? setInterval(() => this.#count(), 500) : 0;
    this.#count();
  }

  #again = () => {};

  #card({ id, unpin, color, name, price, text, until }) {
    const node = document.createElement('li');
    if (color) node.style.setProperty('--paid', color);
    const make = (tag, textContent) => Object.assign(document.createElement(tag), { textContent, dir: 'auto' });
    const time = make('time', '');
    const button = Object.assign(document.createElement('button'), { type: 'button', textContent: '×', hidden: true });
    button.setAttribute('aria-label', this.#words.unpin(text));
    button.addEventListener('click', () => this.#unpin(unpin || id.slice('mod '.length)));
    node.append(make('b', name), ...(price ? [make('strong', price)] : []), time, button, make('p', text));
    const card = { node, time, until, button };
    this.#cards.set(id, card);
    return card;
  }

  #count() {
    const now = this.#now();
    let over = false;
    for (const { time, until } of this.#cards.values()) {
      const left = Math.ceil((until - now) / 1000);
      time.textContent = until ? this.#words.left(left) : '';
      over ||= left <= 0;
    }
    if (over) this.#again();
  }
}
