// The modes of the room: what everybody sees of them, and what the host sets.

const seconds = (ms) => Math.max(0, Math.ceil(ms / 1000));

/** The modes in force as short words, with how long they last. */
export class ModeChips {
  #list;
  #words;
  #now;
  #modes = {};

  /**
   * @param {HTMLElement} list
   * @param words for each mode
   * @param {() => number} now the server's clock, ms
   */
  constructor(list, words, now) {
    this.#list = list;
    this.#words = words;
    this.#now = now;
    setInterval(() => this.#modes.until && this.#show(), 1000);
  }

  set(modes) {
    this.#modes = modes;
    this.#show();
  }

  #show() {
    const { slow_ms, only, emoji, unique_ms, delay_ms, shield, stopped, budget, until } = this.#modes;
    const left = until ? seconds(until - this.#now()) : 0;
    const words = this.#words;
    const chips = until && !left ? [] : [
      slow_ms && words.modeSlow(seconds(slow_ms)),
      only?.length && words.modeOnly,
      emoji && words.modeEmoji,
      unique_ms && words.modeUnique,
      delay_ms && words.modeDelay(seconds(delay_ms)),
      shield && words.modeShield,
      stopped && words.modeStopped,
      budget && words.modeBudget(budget),
    ].filter(Boolean);
    if (chips.length && left) chips.push(words.modeLeft(left));
    this.#list.hidden = !chips.length;
    this.#list.replaceChildren(...chips.map((text) => Object.assign(document.createElement('li'), { textContent: text })));
  }
}

/** What the fields of the form are called, and what they say on the wire when they are set. */
const fields = {
  slow: (value) => ({ slow_ms: 1000 * value }),
  only: () => ({ only: ['member'] }),
  emoji: () => ({ emoji: true }),
  unique: () => ({ unique_ms: 30_000 }),
  delay: () => ({ delay_ms: 8_000 }),
  shield: () => ({ shield: true }),
  stopped: () => ({ stopped: true }),
};

/** The form of the host, and the messages that wait for a decision. */
export class HostPanel {
  #form;
  #queue;
  #words;
  #waiting = new Map(); // by event: the entry of the list

  /**
   * @param {HTMLFormElement} form
   * @param {HTMLElement} queue
   * @param words for the buttons
   * @param {(modes: object) => Promise<unknown>} set
   * @param {(event: string, pass: boolean) => Promise<unknown>} decide
   */
  constructor(form, queue, words, set, decide) {
    this.#form = form;
    this.#queue = queue;
    this.#words = words;
    this.decide = decide;
    form.addEventListener('submit', (e) => e.preventDefault());
    form.addEventListener('change', () => set(this.#read()));
  }

  /** Shows the modes as the room has them, whoever set them. */
  set({ slow_ms = 0, only, emoji, unique_ms, delay_ms, shield, stopped, until }) {
    const { slow, until: ends } = this.#form.elements;
    choose(slow, slow_ms / 1000);
    for (const [name, on] of Object.entries({ only: only?.length, emoji, unique: unique_ms, delay: delay_ms, shield, stopped })) {
      this.#form.elements[name].checked = Boolean(on);
    }
    const some = slow_ms || only?.length || emoji || unique_ms || delay_ms || shield || stopped;
    if (some && !until) ends.value = '0'; // with none it is for the next that is set
  }

  #read() {
    const modes = {};
    for (const [name, wire] of Object.entries(fields)) {
      const field = this.#form.elements[name];
      const value = field.type === 'checkbox' ? field.checked : Number(field.value);
      if (value) Object.assign(modes, wire(value));
    }
    const minutes = Number(this.#form.elements.until.value);
    return { modes, minutes };
  }

  /** A message waits, or does so no more. */
  held({ id, event, status }, said) {
    if (status || !event) return this.#remove(id);
    if (this.#waiting.has(id)) return;
    const item = document.createElement('li');
    const words = Object.assign(document.createElement('span'), { textContent: said, dir: 'auto' });
    item.append(words, this.#button(this.#words.pass, id, true), this.#button(this.#words.drop, id, false));
    this.#waiting.set(id, item);
    this.#queue.append(item);
    this.#queue.hidden = false;
  }

  #button(label, id, pass) {
    const button = Object.assign(document.createElement('button'), { type: 'button', textContent: label });
    button.addEventListener('click', () => this.decide(id, pass));
    return button;
  }

  #remove(id) {
    this.#waiting.get(id)?.remove();
    this.#waiting.delete(id);
    this.#queue.hidden = this.#waiting.size === 0;
  }

  clear() {
    for (const id of [...this.#waiting.keys()]) this.#remove(id);
  }
}

/** Selects the option of a number, and adds it if there is none. */
function choose(select, value) {
  const name = String(value);
  if (![...select.options].some((o) => o.value === name)) select.append(new Option(`${name} s`, name));
  select.value = name;
}
