// Writing: the line, what it is sent as, its colour, and the button that counts down.

const colors = ['#ffffff', '#fe5050', '#ff9a3c', '#ffd302', '#42d77d', '#4ab8ff', '#a98bff', '#ff7ac0'];

export class Composer {
  #form;
  #line;
  #button;
  #colors;
  #words;
  #rested = 0; // from when on the next may be sent
  #timer = 0;

  /**
   * @param {HTMLFormElement} form
   * @param words of the page
   * @param {(kind: string, body: object) => Promise<boolean>} say false if it was refused
   */
  constructor(form, words, say) {
    this.#form = form;
    this.#words = words;
    this.#line = form.elements.text;
    this.#button = form.querySelector('[type=submit]');
    this.#colors = form.querySelector('.colors');
    this.#colors.append(...colors.map(swatch));
    form.addEventListener('change', () => this.#showKind());
    this.#line.addEventListener('input', () => this.#showSendable());
    form.addEventListener('submit', (e) => {
      e.preventDefault();
      this.#submit(say);
    });
    this.#showKind();
  }

  /** Slow mode: counts down until the next message may be sent. With 0 it may be now. */
  rest(ms) {
    this.#rested = performance.now() + ms;
    clearInterval(this.#timer);
    if (ms > 0) this.#timer = setInterval(() => this.#count(), 250);
    this.#count();
  }

  #count() {
    const left = Math.ceil((this.#rested - performance.now()) / 1000);
    if (left <= 0) clearInterval(this.#timer);
    this.#button.textContent = left > 0 ? this.#words.wait(left) : this.#words.send;
    if (left > 0) this.#button.setAttribute('aria-label', this.#words.sendIn(left));
    else this.#button.removeAttribute('aria-label');
    this.#showSendable();
  }

  async #submit(say) {
    const text = this.#line.value.trim();
    if (text === '' || this.#rested > performance.now()) return;
    const kind = this.#form.elements.kind.value;
    this.#line.value = '';
    this.#showSendable();
    const taken = await say(kind, kind === 'danmaku' ? { text, color: this.#form.elements.color.value } : { text });
    if (!taken && this.#line.value === '') this.#line.value = text;
    this.#showSendable();
  }

  #showSendable() {
    this.#button.disabled = this.#line.value.trim() === '' || this.#rested > performance.now();
  }

  #showKind() {
    const flying = this.#form.elements.kind.value === 'danmaku';
    this.#line.placeholder = flying ? this.#words.sayDanmaku : this.#words.sayChat;
    this.#line.setAttribute('aria-label', this.#line.placeholder);
    this.#colors.hidden = !flying;
  }
}

function swatch(color, i) {
  const label = document.createElement('label');
  const input = Object.assign(document.createElement('input'), { type: 'radio', name: 'color', value: color, checked: i === 0 });
  input.setAttribute('aria-label', color);
  label.style.setProperty('--color', color);
  label.append(input);
  return label;
}
