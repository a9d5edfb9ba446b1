// A menu beside the element that opened it: arrows, Home and End move, Escape and Tab close, and focus goes back.

export class Menu {
  #menu;
  #opener = null;

  constructor(menu) {
    this.#menu = menu;
    menu.addEventListener('keydown', (e) => this.#key(e));
    menu.addEventListener('focusout', ({ relatedTarget }) => relatedTarget && !menu.contains(relatedTarget) && this.close(false));
    document.addEventListener('pointerdown', ({ target }) => !menu.contains(target) && this.close(false));
  }

  /** @param {[label: string, act: () => void, grave?: boolean][]} items */
  open(opener, title, items) {
    if (!items.length) return;
    this.#opener = opener;
    this.#menu.setAttribute('aria-label', title);
    this.#menu.replaceChildren(...items.map(([label, act, grave]) => {
      const item = Object.assign(document.createElement('button'), { type: 'button', textContent: label, tabIndex: -1, className: grave ? 'grave' : '' });
      item.setAttribute('role', 'menuitem');
      item.addEventListener('click', () => {
        this.close();
        act();
      });
      return item;
    }));
    this.#menu.hidden = false;
    const { bottom, top, right } = opener.getBoundingClientRect();
    const { offsetHeight: high, offsetWidth: wide } = this.#menu;
    const below = bottom + high + 8 < innerHeight;
    this.#menu.style.top = `${Math.max(8, below ? bottom + 2 : top - high - 2)}px`;
    this.#menu.style.left = `${Math.max(8, Math.min(right - wide, innerWidth - wide - 8))}px`;
    this.#menu.firstElementChild.focus();
  }

  close(back = true) {
    if (this.#menu.hidden) return;
    const opener = this.#opener;
    this.#opener = null;
    if (back) (opener?.isConnected ? opener : document.querySelector('#messages')).focus({ preventScroll: true });
    this.#menu.hidden = true;
  }

  #key(e) {
    const all = [...this.#menu.children];
    const at = all.indexOf(document.activeElement);
    const to = { ArrowDown: (at + 1) % all.length, ArrowUp: (at + all.length - 1) % all.length, Home: 0, End: all.length - 1 }[e.key];
    if (to !== undefined) all[to].focus();
    else if (e.key === 'Escape' || e.key === 'Tab') this.close();
    else return;
    e.preventDefault();
    e.stopPropagation();
  }
}
