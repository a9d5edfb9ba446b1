// The visitor's own danmaku. They fly at once, before the server has said what becomes of them, and stay
// whatever it says: what is shown to nobody else is only fainter.

const patience = 10_000; // ms in which one may come back from the server as an event
const most = 100; // names of events that are kept

export class OwnDanmaku {
  #stage;
  #fly;
  #tab = Math.random().toString(36).slice(2, 10);
  #said = 0;
  #waiting = []; // {cid, text, until}
  #named = new Map(); // by event: the name on the stage

  /**
   * @param {import('/im/danmaku.js').Danmaku} stage
   * @param {(body: object, id: string) => void} fly
   */
  constructor(stage, fly) {
    this.#stage = stage;
    this.#fly = fly;
  }

  /** Shows one. @returns its name on the stage, which is the cid to send it under */
  show(body, text) {
    const cid = `own-${this.#tab}-${++this.#said}`;
    this.#waiting.push({ cid, text, until: Date.now() + patience });
    this.#fly(body, cid);
    return cid;
  }

  /** What became of one: merged, shed and held ones look it; a refused one goes. */
  fate(cid, status) {
    if (status === 'refused') this.#stage.remove(cid);
    else this.#stage.update(cid, { status });
    const waits = this.#waiting.find((w) => w.cid === cid);
    if (!waits) return;
    if (status === 'ok') waits.until = Date.now() + patience;
    else if (status === 'held') waits.until = Infinity; // until a moderator has looked
    else this.#waiting = this.#waiting.filter((w) => w !== waits); // it will not come back
  }

  /** An event of the visitor has come. @returns whether it flies already */
  take(event, text, count) {
    const now = Date.now();
    this.#waiting = this.#waiting.filter(({ until }) => until > now);
    const i = this.#waiting.findIndex((w) => w.text === text);
    if (i < 0) return false;
    const [{ cid }] = this.#waiting.splice(i, 1);
    this.#named.set(event, cid);
    if (this.#named.size > most) this.#named.delete(this.#named.keys().next().value);
    this.#stage.update(cid, { count });
    return true;
  }

  /** What an event is called on the stage. */
  nameOf(event) {
    return this.#named.get(event) ?? event;
  }
}
