// Who is here, and who gave most: two lists in dialogs.

import { clean } from '/im/danmaku.js';
import { avatar } from './chat.js';

const most = 200; // names that are shown

const nameOf = ({ name, id }) => clean(name, 24) || clean(id, 24) || '?';

/** A dialog with a list, which is filled while it is open. */
class Sheet {
  /** @param {(open: boolean) => void} told */
  constructor(dialog, button, told) {
    this.dialog = dialog;
    this.list = dialog.querySelector('ol');
    this.note = dialog.querySelector('.note');
    button.addEventListener('click', () => {
      dialog.showModal();
      told(true);
    });
    dialog.addEventListener('close', () => told(false));
    dialog.querySelector('.plain').addEventListener('click', () => dialog.close());
    dialog.addEventListener('click', ({ target }) => target === dialog && dialog.close());
  }

  fill(rows, note) {
    this.note.textContent = note;
    this.note.hidden = !note;
    this.list.replaceChildren(...rows.map(([name, more]) => {
      const item = document.createElement('li');
      const words = Object.assign(document.createElement('span'), { textContent: name, dir: 'auto' });
      item.append(avatar(name), words);
      if (more) item.append(Object.assign(document.createElement('b'), { textContent: more }));
      return item;
    }));
  }
}

export class Here {
  #sheet;
  #words;
  #people = null;
  #stop = null;

  constructor(dialog, button, words) {
    this.#words = words;
    this.#sheet = new Sheet(dialog, button, (open) => this.#watch(open));
  }

  /** Takes those of a room; see people in /im/features.js. */
  enter(people) {
    this.#people = people;
    people.on('change', () => this.#show());
    if (this.#sheet.dialog.open) this.#watch(true);
  }

  #watch(open) {
    this.#stop?.();
    this.#stop = open ? (this.#people?.watch() ?? null) : null;
    this.#show();
  }

  #show() {
    if (!this.#sheet.dialog.open || !this.#people) return;
    const { members, top, large, count } = this.#people;
    const shown = (members ?? top).slice(0, most);
    const more = count - shown.length;
    this.#sheet.fill(shown.map((m) => [nameOf(m)]), members === null && !large ? this.#words.reading : more > 0 ? this.#words.moreHere(more.toLocaleString()) : '');
  }
}

export class Givers {
  #sheet;
  #words;
  #button;
  #list;

  constructor(dialog, button, words) {
    this.#button = button;
    this.#words = words;
    this.#sheet = new Sheet(dialog, button, () => this.#show());
  }

  /** The list of the room: {top}. */
  set(list) {
    this.#list = list;
    const [first] = list?.top ?? [];
    this.#button.hidden = !first;
    if (first) this.#button.querySelector('b').textContent = nameOf(first);
    this.#show();
  }

  #show() {
    const top = this.#list?.top ?? [];
    this.#sheet.fill(top.map((g) => [nameOf(g), this.#words.price(Number(g.amount).toLocaleString())]), top.length ? '' : this.#words.noGivers);
  }
}
