// The list of messages beside the picture.

const kept = 200; // messages in the list
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

  /**
   * @param {HTMLElement} list
   * @param {HTMLElement} newer the button that leads to the newest message
   * @param {HTMLElement} speaker what screen readers listen to
   * @param words newer(n) for the button, says(name, words) and andMore(n) for the speaker
   */
  constructor(list, newer, speaker, words) {
    this.#list = list;
    this.#newer = newer;
    this.#words = words;
    this.#speaker = new Speaker(speaker, words.andMore);
    newer.addEventListener('click', () => {
      list.focus({ preventScroll: true }); // the button is about to go
      this.#follow();
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
    this.#list.replaceChildren();
    this.#following = true;
    this.#seen();
  }

  /** Adds what somebody said; `old` if it was said before the page was there. */
  say({ name, text, own = false, old = false }) {
    const item = entry(name, own ? 'own' : '', span(text));
    this.#add(item);
    if (!own && !old) this.#speaker.say(this.#words.says(name, text));
  }

  /** Adds that somebody gave a gift, with its picture. */
  gift({ name, text, picture, own = false, old = false }) {
    const words = span(text);
    words.append(picture);
    this.#add(entry(name, own ? 'gift own' : 'gift', words));
    if (!old) this.#speaker.say(`${name} ${text}`);
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

  #add(item) {
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
