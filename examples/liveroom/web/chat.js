// The list of messages beside the picture.

const kept = 200; // messages in the list

export class Chat {
  #list;
  #newer;
  #unseen = 0;
  #label;

  /** @param label makes the text of the button from the number of unseen messages */
  constructor(list, newer, label) {
    this.#list = list;
    this.#newer = newer;
    this.#label = label;
    newer.addEventListener('click', () => this.#follow());
    list.addEventListener('scroll', () => this.#atEnd() && this.#seen(), { passive: true });
    new ResizeObserver(() => this.#unseen === 0 && this.#follow()).observe(list);
  }

  clear() {
    this.#list.replaceChildren();
    this.#seen();
  }

  /** Adds what somebody said: {name, text, own}. */
  say({ name, text, own }) {
    const item = document.createElement('li');
    if (own) item.classList.add('own');
    const author = document.createElement('b');
    author.textContent = name;
    author.style.setProperty('--hue', hue(name));
    item.append(avatar(name), author, span(text));
    this.#add(item);
  }

  /** Adds an announcement of the host. */
  announce(text) {
    this.#line('notice', text);
  }

  /** Adds a remark of the page itself, unless it stands there already. */
  remark(text) {
    const last = this.#list.lastElementChild;
    if (last?.className === 'remark' && last.textContent === text) return;
    this.#line('remark', text);
  }

  #line(className, text) {
    const item = document.createElement('li');
    item.className = className;
    item.append(span(text));
    this.#add(item);
  }

  #add(item) {
    const following = this.#atEnd();
    this.#list.append(item);
    while (this.#list.childElementCount > kept) this.#list.firstElementChild.remove();
    if (following) {
      this.#follow();
      return;
    }
    this.#unseen++;
    this.#newer.textContent = this.#label(this.#unseen);
    this.#newer.hidden = false;
  }

  #atEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#list;
    return scrollHeight - scrollTop - clientHeight < 40;
  }

  #follow() {
    this.#list.scrollTop = this.#list.scrollHeight;
    this.#seen();
  }

  #seen() {
    this.#unseen = 0;
    this.#newer.hidden = true;
  }
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
  return element;
}

function hue(name) {
  let sum = 7;
  for (const c of name) sum = (sum * 31 + c.codePointAt(0)) % 360;
  return sum;
}
