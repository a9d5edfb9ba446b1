// Likes: the number on the button, and the hearts that rise.

const crowd = 30; // hearts at a time
const tints = ['#ff4f81', '#ff7a59', '#ffb03a', '#c86bff', '#7a8cff', '#ff6fb5'];

export class Likes {
  #show;
  #hearts;
  #likes = null; // of the room; see likes in /im/features.js
  #shown = 0;
  #still = matchMedia('(prefers-reduced-motion: reduce)');

  /**
   * @param {(total: number) => void} show
   * @param {HTMLElement} hearts where they rise
   */
  constructor(show, hearts) {
    this.#show = show;
    this.#hearts = hearts;
  }

  /** Takes those of a room. */
  enter(likes) {
    this.#likes = likes;
    likes.on('total', () => this.#tell());
    likes.on('grow', ({ others }) => {
      const n = Math.min(others, 6);
      for (let i = 0; i < n; i++) setTimeout(() => this.#rise(), (i * 500) / n);
    });
    likes.on('lost', () => this.reset());
    this.reset();
  }

  /** Somebody pressed the button: is seen at once, and sent with the next few. */
  add() {
    this.#rise();
    this.#likes?.add();
    this.#tell();
  }

  reset() {
    this.#shown = 0;
    this.#tell();
  }

  // The number on the button never goes back when likes have left, but the
  // room's total does not hold them yet.
  #tell() {
    if (!this.#likes) return;
    this.#shown = Math.max(this.#shown, this.#likes.total + this.#likes.waiting);
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

/** One of the page's drawings, by the id of its symbol. */
export function drawing(id) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  const use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
  use.setAttribute('href', `#${id}`);
  svg.setAttribute('aria-hidden', 'true');
  svg.append(use);
  return svg;
}
