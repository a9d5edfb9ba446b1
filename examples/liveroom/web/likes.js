// Likes: counted here and sent a few times a second, and the hearts that rise
// for them.

const every = 600; // ms between two sends
const most = 12; // in one send: the rate that a hub allows a person
const backlog = 48; // that wait to be sent; more fingers nobody has
const patience = 15_000; // ms, for the hub's answer
const crowd = 30; // hearts at a time
const tints = ['#ff4f81', '#ff7a59', '#ffb03a', '#c86bff', '#7a8cff', '#ff6fb5'];

export class Likes {
  #send;
  #show;
  #hearts;
  #total = 0; // as the room says
  #shown = 0;
  #waiting = 0; // to be sent
  #sent = 0; // on their way
  #mine = 0; // sent, and not yet seen in the room's total
  #timer = 0;
  #still = matchMedia('(prefers-reduced-motion: reduce)');

  /**
   * @param {(n: number, signal: AbortSignal) => Promise<unknown>} send sends n likes
   * @param {(total: number) => void} show
   * @param {HTMLElement} hearts where they rise
   */
  constructor(send, show, hearts) {
    this.#send = send;
    this.#show = show;
    this.#hearts = hearts;
  }

  /** Somebody pressed the button: is seen at once, and sent with the next few. */
  add() {
    this.#rise();
    if (this.#waiting >= backlog) return;
    this.#waiting++;
    this.#tell();
    this.#timer ||= setTimeout(() => this.#flush(), every);
  }

  /** What the room's state says, at a join. */
  reset(total) {
    this.#total = count(total);
    this.#shown = this.#mine = 0;
    this.#tell();
  }

  /** What an event of likes says: {n, total}. */
  grow(body) {
    this.#total = Math.max(this.#total, count(body?.total));
    const n = count(body?.n);
    const mine = Math.min(n, this.#mine);
    this.#mine -= mine;
    const others = Math.min(n - mine, 6);
    for (let i = 0; i < others; i++) setTimeout(() => this.#rise(), (i * 500) / others);
    this.#tell();
  }

  async #flush() {
    const n = Math.min(this.#waiting, most);
    this.#waiting -= n;
    this.#sent += n;
    this.#mine += n;
    try {
      await this.#send(n, AbortSignal.timeout(patience));
    } catch {
      this.#mine = Math.max(this.#mine - n, 0); // a like that is lost is no loss
      this.#shown = 0;
    }
    this.#sent -= n;
    this.#timer = this.#waiting ? setTimeout(() => this.#flush(), every) : 0;
    this.#tell();
  }

  // The number on the button never goes back when likes have left, but the
  // room's total does not hold them yet.
  #tell() {
    this.#shown = Math.max(this.#shown, this.#total + this.#waiting + this.#sent);
    this.#show(this.#shown);
  }

  #rise() {
    if (document.hidden || this.#still.matches || this.#hearts.childElementCount >= crowd) return;
    const heart = drawing('heart');
    const pick = (low, high) => low + Math.random() * (high - low);
    heart.style.fill = tints[Math.floor(Math.random() * tints.length)];
    heart.style.left = `${pick(20, 70)}%`;
    const [sway, turn] = [pick(-30, 30), pick(-25, 25)];
    const height = this.#hearts.clientHeight - 40;
    this.#hearts.append(heart);
    heart.animate(
      [
        { transform: 'translate(0, 0) scale(.3)', opacity: 0 },
        { transform: `translate(${sway / 3}px, ${-0.15 * height}px) rotate(${turn}deg) scale(1.1)`, opacity: 1, offset: 0.15 },
        { transform: `translate(${-sway / 2}px, ${-0.6 * height}px) rotate(${-turn}deg) scale(1)`, opacity: 0.9, offset: 0.65 },
        { transform: `translate(${sway}px, ${-height}px) rotate(${turn}deg) scale(.9)`, opacity: 0 },
      ],
      { duration: pick(1800, 2800), easing: 'ease-out' },
    ).onfinish = () => heart.remove();
  }
}

const count = (n) => (Number.isSafeInteger(n) && n > 0 ? n : 0);

/** One of the page's drawings, by the id of its symbol. */
export function drawing(id) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  const use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
  use.setAttribute('href', `#${id}`);
  svg.setAttribute('aria-hidden', 'true');
  svg.append(use);
  return svg;
}
