// What the room has beside its messages: gifts, likes, who is here, and moderation.

import { clean } from '/im/danmaku.js';
import { gifts, likes, moderation, people } from '/im/features.js';
import { Givers, Here } from './crowd.js';
import { Banners, GiftRow, nameOf } from './gifts.js';
import { Likes } from './likes.js';
import { Menu } from './menu.js';
import { PaidForm, Pins } from './paid.js';
import { language } from './text.js';

const $ = (id) => document.getElementById(id);
const said = ['chat', 'danmaku', 'gift'];

export class Extras {
  #page;
  #shop;
  #staff;
  #held = new Set(); // events that wait for approval
  #menu = new Menu($('menu'));

  /** @param page {text, now, attempt, toast, isHost, host, cheer, me} */
  constructor(page) {
    const { text, now, attempt } = (this.#page = page);
    const compact = new Intl.NumberFormat(language, { notation: 'compact', maximumFractionDigits: 1 });
    this.likes = new Likes((n) => ($('likes').textContent = compact.format(n)), $('hearts'));
    this.banners = new Banners($('banners'), (combo) => text.gave(nameOf(text, combo)));
    this.pins = new Pins($('pins'), text, now, (id) => attempt(() => this.#staff.unpin(id)));
    this.here = new Here($('here'), $('here-open'), text);
    this.givers = new Givers($('givers'), $('givers-open'), text);
    this.row = new GiftRow($('gifts'), $('gift'), text, ({ id, price }, count) => attempt(async () => this.#bought(await this.#open.send(id, { count, price }))));
    this.paid = new PaidForm($('paid'), $('pay'), text, async (words, amount) => {
      let ok = false;
      await attempt(async () => {
        this.#bought(await this.#open.pay(words, amount));
        ok = true;
      });
      return ok;
    });
    $('like').addEventListener('click', () => this.likes.add());
    $('approve').addEventListener('change', () => attempt(() => this.#staff.approve($('approve').checked ? ['chat'] : [])));
    $('why').querySelector('.plain').addEventListener('click', () => $('why').close());
  }

  get #open() {
    if (!this.#shop) throw new Error(this.#page.text.notYet);
    return this.#shop;
  }

  #bought({ state }) {
    if (state !== 'delivered') this.#page.toast(this.#page.text.pending);
  }

  enter(client, room) {
    const { text, cheer, toast, isHost } = this.#page;
    for (const feature of this.features ?? []) feature.close();
    const shop = (this.#shop = gifts(client, room));
    const staff = (this.#staff = moderation(client, room));
    const crowd = people(client, room);
    const hearts = likes(room);
    this.features = [shop, staff, crowd, hearts];
    shop.on('combo', (combo) => {
      cheer(5);
      this.banners.show(combo);
    });
    shop.on('order', ({ reason }) => reason && toast(reason));
    shop.on('pins', () => this.reset());
    shop.on('givers', () => this.reset());
    staff.on('pins', () => this.reset());
    staff.on('approval', () => this.reset());
    staff.on('queue', (list) => this.#queue(list));
    staff.on('reports', (list) => this.#reports(list));
    hearts.on('milestone', ({ n }) => this.#party(text.milestone(n.toLocaleString())));
    room.on('removed', (what) => shop.combos.forEach((c) => what.has(c.event) && this.banners.remove(c.id)));
    this.likes.enter(hearts);
    this.here.enter(crowd);
    this.#held.clear();
    if (isHost()) staff.attend();
    shop.list().then(({ gifts: all, tiers }) => {
      this.row.fill(all);
      this.paid.fill(tiers);
    }, () => {});
  }

  /** Shows what the room's state has. */
  reset() {
    this.likes.reset();
    this.givers.set(this.#shop.givers.all);
    this.pins.show(this.#shop.pins, this.#staff.pins, this.#page.isHost());
    $('approve').checked = this.#staff.approving.includes('chat');
  }

  #party(words) {
    $('milestone').textContent = words;
    $('milestone').hidden = false;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => ($('milestone').hidden = true), 5000);
  }

  /** Decides about what waits for approval. @returns undefined if it waits for something else */
  decide(event, pass) {
    if (!this.#held.has(event)) return undefined;
    return pass ? this.#staff.pass(event) : this.#staff.refuse(event);
  }

  #queue(list) {
    const { host, now } = this.#page;
    const ids = new Set(list.map((w) => w.event));
    for (const id of this.#held) if (!ids.has(id)) host.held({ id, status: 'ok' }, '');
    for (const w of list) {
      host.held({ id: w.event, event: w, wait: Date.parse(w.until) - now() }, `${clean(w.from?.name, 24)}: ${clean(w.body?.text, 200)}`);
    }
    this.#held = ids;
  }

  #reports(list) {
    const { text, attempt } = this.#page;
    $('reports').hidden = !list.length;
    $('reports').replaceChildren(...list.map((r) => {
      const item = document.createElement('li');
      const words = Object.assign(document.createElement('span'), { textContent: `${clean(r.text, 200)} (${r.count})`, dir: 'auto' });
      const button = (label, act) => {
        const b = Object.assign(document.createElement('button'), { type: 'button', textContent: label });
        b.setAttribute('aria-label', `${label}: ${words.textContent}`);
        b.addEventListener('click', () => attempt(act));
        return b;
      };
      item.append(words, button(text.remove, async () => {
        await this.#staff.delete({ seqs: [r.seq] });
        await this.#staff.resolve(r.id);
      }), button(text.dismiss, () => this.#staff.resolve(r.id)));
      return item;
    }));
  }

  /** The menu of a line of the chat. */
  actions(event, opener) {
    const { text, attempt, toast, isHost, me } = this.#page;
    if (!event) return;
    const staff = this.#staff;
    const user = event.from?.id;
    const mine = user === me().id;
    const does = (what, words = text.done) => () => attempt(async () => {
      await what();
      toast(words);
    });
    const ms = 600_000;
    const items = !isHost()
      ? (mine ? [] : [[text.report, does(() => staff.report(event.seq), text.reported)]])
      : [
          ...(mine ? [] : [[text.mute, does(() => staff.mute(user, { ms }))], [text.shadow, does(() => staff.shadow(user))], [text.ban, does(() => staff.ban(user)), true]]),
          [text.remove, does(() => staff.delete({ seqs: [event.seq] })), true],
          [text.removeAll, does(() => staff.delete({ user, kinds: said })), true],
          [text.pin, does(() => staff.pin({ seq: event.seq, ms: 300_000 }))],
          [text.why, () => attempt(() => this.#why(user))],
        ];
    this.#menu.open(opener, opener.getAttribute('aria-label'), items);
  }

  async #why(user) {
    const [decisions, about] = await Promise.all([this.#staff.why({ user }), this.#staff.explain(user)]);
    const lines = [...(about?.sends ?? []), ...(about?.sees ?? [])].map((r) => `${r.code}: ${r.reason}`);
    lines.push(...decisions.map((d) => [d.action, d.rule, d.reason, d.text].filter(Boolean).join(' · ')));
    $('why').querySelector('ol').replaceChildren(...lines.map((line) => Object.assign(document.createElement('li'), { textContent: clean(line, 200), dir: 'auto' })));
    $('why').querySelector('.note').textContent = lines.length ? '' : this.#page.text.nothingKnown;
    $('why').showModal();
  }
}
