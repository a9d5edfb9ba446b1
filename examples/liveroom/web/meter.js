// What the flow control does: how much of what is said is shown.

const every = 1000; // ms between two looks
const storm = 5; // left out a second from which on it is one

/** Counts danmaku over the last seconds. */
export class Meter {
  #show;
  #shown = 0;
  #merged = 0;
  #shed = 0;
  #totals = { merged: 0, shed: 0 };
  #since = performance.now();

  /** @param {(rates: {shown: number, offered: number, merged: number, shed: number, storm: boolean}) => void} show */
  constructor(show) {
    this.#show = show;
    setInterval(() => this.#tell(), every);
  }

  /** A danmaku was shown. */
  flown() {
    this.#shown++;
  }

  /** What a tally says: so many were merged, and so many left out. */
  tally({ merged = 0, shed = 0 }) {
    this.#merged += count(merged);
    this.#shed += count(shed);
  }

  #tell() {
    const now = performance.now();
    const per = (n) => (n * 1000) / (now - this.#since);
    this.#totals.merged += this.#merged;
    this.#totals.shed += this.#shed;
    this.#show({
      shown: per(this.#shown),
      offered: per(this.#shown + this.#merged + this.#shed),
      ...this.#totals,
      storm: per(this.#shed + this.#merged) >= storm,
    });
    this.#shown = this.#merged = this.#shed = 0;
    this.#since = now;
  }
}

const count = (n) => (Number.isSafeInteger(n) && n > 0 ? n : 0);
