// What the flow control does: how much of what is said is shown.

const every = 1000; // ms between two looks
const span = 3; // looks that the rates are of: tallies come up to a second late
const storm = 5; // left out or merged a second from which on it is one

/** Counts danmaku over the last seconds. */
export class Meter {
  #show;
  #now = { shown: 0, merged: 0, shed: 0 };
  #looks = []; // the last ones: {shown, merged, shed, ms}
  #totals = { merged: 0, shed: 0 };
  #since = performance.now();

  /**
   * @param {(rates: {shown: number, offered: number, lost: number, merged: number, shed: number, storm: boolean}) => void} show
   * shown and offered are per second, lost is what was shed in the last seconds, merged and shed are since the page was opened
   */
  constructor(show) {
    this.#show = show;
    setInterval(() => this.#look(), every);
  }

  /** A danmaku was shown. */
  flown() {
    this.#now.shown++;
  }

  /** What a tally says: so many were merged, and so many left out. */
  tally({ merged, shed }) {
    this.#now.merged += count(merged);
    this.#now.shed += count(shed);
  }

  #look() {
    const time = performance.now();
    this.#looks.push({ ...this.#now, ms: time - this.#since });
    if (this.#looks.length > span) this.#looks.shift();
    this.#totals.merged += this.#now.merged;
    this.#totals.shed += this.#now.shed;
    this.#now = { shown: 0, merged: 0, shed: 0 };
    this.#since = time;

    const sum = (name) => this.#looks.reduce((all, look) => all + look[name], 0);
    const [shown, merged, shed, ms] = ['shown', 'merged', 'shed', 'ms'].map(sum);
    const per = (n) => (n * 1000) / ms;
    this.#show({ shown: per(shown), offered: per(shown + merged + shed), lost: shed, ...this.#totals, storm: per(merged + shed) >= storm });
  }
}

const count = (n) => (Number.isSafeInteger(n) && n > 0 ? n : 0);
