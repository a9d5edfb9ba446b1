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
/** What the form has no field for, and leaves as it is. */
const others = ['allow', 'budget'];

/** The form of the host, and the messages that wait for a decision. */
export class HostPanel {
  #form;
  #queue;
  #words;
  #decide;
  #now;
  #modes = {};
  #waiting = new Map(); // by event: {item, left, until}
  #timer = 0;

  /**
   * @param {HTMLFormElement} form
   * @param {HTMLElement} queue
   * @param words for the buttons
   * @param {{set: (modes: object) => void, decide: (event: string, pass: boolean) => void, now: () => number}} host now is the server's clock, ms
   */
  constructor(form, queue, words, { set, decide, now }) {
    this.#form = form;
    this.#queue = queue;
    this.#words = words;
    this.#decide = decide;
    this.#now = now;
    const { slow, until } = form.elements;
    for (const option of slow.options) if (option.value > 0) option.label = words.wait(Number(option.value));
    for (const option of until.options) if (option.value > 0) option.label = words.minutes(Number(option.value));
    form.addEventListener('submit', (e) => e.preventDefault());
    form.addEventListener('change', ({ target }) => set(this.#read(target.name)));
  }

  /** Shows the modes as the room has them, whoever set them. */
  set(modes) {
    this.#modes = modes;
    const { slow_ms = 0, only, emoji, unique_ms, delay_ms, shield, stopped, until } = modes;
    const { slow, until: ends } = this.#form.elements;
    choose(slow, slow_ms / 1000, this.#words.wait);
    for (const [name, on] of Object.entries({ only: only?.length, emoji, unique: unique_ms, delay: delay_ms, shield, stopped })) {
      this.#form.elements[name].checked = Boolean(on);
    }
    if (Object.keys(modes).length && !until) ends.value = '0'; // with none it is for the next that is set
  }

  /** The modes with the change that was made. What the room has by other means keeps its numbers, and its end. */
  #read(changed) {
    const has = this.#modes;
    const modes = {};
    for (const name of others) if (has[name]) modes[name] = has[name];
    for (const [name, wire] of Object.entries(fields)) {
      const field = this.#form.elements[name];
      const value = field.type === 'checkbox' ? field.checked : Number(field.value);
      if (!value) continue;
      for (const [key, usual] of Object.entries(wire(value))) modes[key] = (name !== changed && has[key]) || usual;
    }
    const minutes = Number(this.#form.elements.until.value);
    if (Object.keys(modes).length === 0) return modes;
    if (has.until && changed !== 'until') modes.until = has.until;
    else if (minutes) modes.until = Math.round(this.#now() + 60_000 * minutes);
    return modes;
  }

  /** A message waits, or does so no more. */
  held({ id, event, wait, status }, said) {
    if (status || !event) return this.#remove(id);
    if (this.#waiting.has(id)) return;
    const item = document.createElement('li');
    const words = Object.assign(document.createElement('span'), { textContent: said, dir: 'auto' });
    const left = document.createElement('time');
    item.append(words, left, this.#button(this.#words.pass, said, id, true), this.#button(this.#words.drop, said, id, false));
    this.#waiting.set(id, { item, left, until: performance.now() + wait });
    this.#queue.append(item);
    this.#queue.hidden = false;
    this.#timer ||= setInterval(() => this.#count(), 250);
    this.#count();
  }

  /** How long each still waits: it is shown after that. */
  #count() {
    for (const { left, until } of this.#waiting.values()) left.textContent = this.#words.wait(seconds(until - performance.now()));
  }

  #button(label, said, id, pass) {
    const button = Object.assign(document.createElement('button'), { type: 'button', textContent: label });
    button.setAttribute('aria-label', `${label}: ${said}`);
    button.addEventListener('click', () => this.#decide(id, pass));
    return button;
  }

  #remove(id) {
    const item = this.#waiting.get(id)?.item;
    if (!item) return;
    const beside = item.nextElementSibling ?? item.previousElementSibling;
    const focused = item.contains(document.activeElement);
    item.remove();
    this.#waiting.delete(id);
    this.#queue.hidden = this.#waiting.size === 0;
    if (focused) (beside?.querySelector('button') ?? this.#form.elements.delay).focus();
    if (this.#waiting.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = 0;
  }

  clear() {
    for (const id of [...this.#waiting.keys()]) this.#remove(id);
  }
}

/** Selects the option of a number, and adds it if there is none. */
function choose(select, value, words) {
  const name = String(value);
  if (![...select.options].some((o) => o.value === name)) select.append(new Option(words(value), name));
  select.value = name;
}
