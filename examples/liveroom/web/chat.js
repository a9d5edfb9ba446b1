// The list of messages beside the picture.

const kept = 200; // messages in the list
const growing = 50; // gifts whose lines may still change
const breath = 5_000; // ms between two things that a screen reader is told

export class Chat {
  #list;
  #newer;
  #words;
  #fresh = []; // items to be added at the next frame, however many come until then
  #frame = 0;
  #following = true;
  #unseen = 0;
  #speaker;
  #actions;
  #events = new WeakMap(); // of items: the event that each shows
  #gifts = new Map(); // by combo: the text of its line

  /**
   * @param {HTMLElement} list
   * @param {HTMLElement} newer the button that leads to the newest message
   * @param {HTMLElement} speaker what screen readers listen to
   * @param words newer(n) for the button, says(name, words) and andMore(n) for the speaker
   * @param {(event: object, opener: HTMLElement) => void} actions what a line's button opens
   */
  constructor(list, newer, speaker, words, actions) {
    this.#actions = actions;
    this.#list = list;
    this.#newer = newer;
    this.#words = words;
    this.#speaker = new Speaker(speaker, words.andMore);
    newer.addEventListener('click', () => {
      list.focus({ preventScroll: true }); // the button is about to go
      this.#follow();
    });
    list.addEventListener('keydown', (e) => this.#move(e));
    list.addEventListener('click', ({ target }) => {
      const button = target.closest('li')?.querySelector('.more');
      if (button && String(getSelection()) === '') this.#open(button);
    });
    const look = () => {
      const { scrollHeight, scrollTop, clientHeight } = list;
      this.#following = scrollHeight - scrollTop - clientHeight < 40;
      if (this.#following) this.#seen();
    };
    list.addEventListener('scroll', look, { passive: true });
    new ResizeObserver(() => this.#following && this.#follow()).observe(list);
  }

  clear() {
    this.#fresh = [];
    this.#gifts.clear();
    this.#list.replaceChildren();
    this.#following = true;
    this.#seen();
  }

  /** Adds what somebody said; `old` if it was said before the page was there. `look` is a class: flown, paid. */
  say({ event, name, text, look = '', color, own = false, old = false }) {
    const item = entry(name, [look, own && 'own'].filter(Boolean).join(' '), span(text));
    if (color) item.style.setProperty('--paid', color);
    this.#add(item, event, name, text);
    if (!own && !old && look !== 'flown') this.#speaker.say(this.#words.says(name, text));
  }

  /** Adds that somebody gave a gift, with its picture. A combo has one line, which changes. */
  gift({ event, combo, name, text, picture, own = false, old = false }) {
    if (!old) this.#speaker.say(`${name} ${text}`);
    const line = this.#gifts.get(combo);
    if (line) return void (line.firstChild.data = text);
    const words = span(text);
    words.append(picture);
    this.#gifts.set(combo, words);
    if (this.#gifts.size > growing) this.#gifts.delete(this.#gifts.keys().next().value);
    this.#add(entry(name, own ? 'gift own' : 'gift', words), event, name, text);
  }

  /** Takes away what was deleted. */
  remove(deleted) {
    const goes = (item) => this.#events.has(item) && deleted(this.#events.get(item));
    this.#fresh = this.#fresh.filter((item) => !goes(item));
    const gone = [...this.#list.children].filter(goes);
    if (gone.some((item) => item.contains(document.activeElement))) this.#list.focus({ preventScroll: true });
    for (const item of gone) item.remove();
    for (const [combo, words] of this.#gifts) if (!words.isConnected) this.#gifts.delete(combo);
  }

  /** Adds an announcement of the host. */
  announce(text, old = false) {
    this.#line('notice', text);
    if (!old) this.#speaker.say(text);
  }

  /** Adds a remark of the page itself, unless it stands there already. */
  remark(text) {
    const last = this.#fresh.at(-1) ?? this.#list.lastElementChild;
    if (last?.className === 'remark' && last.textContent === text) return;
    this.#line('remark', text);
    this.#speaker.say(text);
  }

  #line(className, text) {
    const item = document.createElement('li');
    item.className = className;
    item.append(span(text));
    this.#add(item);
  }

  // The arrows go from line to line, so that the list is one stop for the Tab key.
  #move(e) {
    const all = [...this.#list.querySelectorAll('.more')];
    const at = all.indexOf(document.activeElement);
    const to = { ArrowUp: at < 0 ? all.length - 1 : at - 1, ArrowDown: at + 1, Home: 0, End: all.length - 1 }[e.key];
    if (to === undefined || !all[to] || (at < 0 && e.key !== 'ArrowUp')) return;
    e.preventDefault();
    all[to].focus();
  }

  #open(button) {
    this.#actions(this.#events.get(button.closest('li')), button);
  }

  #add(item, event, name, text) {
    if (event?.seq) {
      this.#events.set(item, event);
      const more = Object.assign(document.createElement('button'), { type: 'button', className: 'more', textContent: '⋯', tabIndex: -1 });
      more.setAttribute('aria-haspopup', 'menu');
      more.setAttribute('aria-label', this.#words.actions(this.#words.says(name, text)));
      item.append(more);
    }
    this.#fresh.push(item);
    if (this.#fresh.length > kept) this.#fresh.shift();
    this.#frame ||= requestAnimationFrame(() => this.#show());
  }

  // One change of the page for all that came within a frame.
  #show() {
    this.#frame = 0;
    const fresh = this.#fresh.splice(0);
    if (!fresh.length) return; // cleared meanwhile
    const list = this.#list;
    // While somebody reads what is older nothing may move: then the list grows, up to a point.
    const most = this.#following ? kept : 2 * kept;
    list.append(...fresh);
    while (list.childElementCount > most) list.firstElementChild.remove();
    if (this.#following) return this.#follow();
    this.#unseen += fresh.length;
    this.#newer.textContent = this.#words.newer(this.#unseen);
    this.#newer.hidden = false;
  }

  #follow() {
    this.#following = true;
    this.#list.scrollTop = this.#list.scrollHeight;
    this.#seen();
  }

  #seen() {
    this.#unseen = 0;
    this.#newer.hidden = true;
  }
}

/** Tells screen readers the newest message, and how many more there were, now and then. */
class Speaker {
  #element;
  #andMore;
  #latest = '';
  #more = 0;
  #timer = 0;

  constructor(element, andMore) {
    this.#element = element;
    this.#andMore = andMore;
  }

  say(text) {
    if (this.#latest) this.#more++;
    this.#latest = text;
    this.#timer ||= setTimeout(() => this.#speak(), 300);
  }

  #speak() {
    this.#timer = 0;
    if (!this.#latest) return;
    this.#element.textContent = this.#more ? `${this.#latest} (${this.#andMore(this.#more)})` : this.#latest;
    this.#latest = '';
    this.#more = 0;
    this.#timer = setTimeout(() => this.#speak(), breath);
  }
}

function entry(name, className, words) {
  const item = document.createElement('li');
  item.className = className;
  const author = document.createElement('b');
  author.textContent = name;
  author.dir = 'auto';
  author.style.setProperty('--hue', hue(name));
  item.append(avatar(name), author, words);
  return item;
}

/** A round picture made of the first letter of a name. */
export function avatar(name) {
  const element = span([...name][0] ?? '?');
  element.className = 'avatar';
  element.setAttribute('aria-hidden', 'true');
  element.style.setProperty('--hue', hue(name));
  return element;
}

function span(text) {
  const element = document.createElement('span');
  element.textContent = text;
  element.dir = 'auto'; // what is written from right to left moves nothing beside it
  return element;
}

function hue(name) {
  let sum = 7;
  for (const c of name) sum = (sum * 31 + c.codePointAt(0)) % 360;
  return sum;
}
