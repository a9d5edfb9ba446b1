// Which track a comment flies in, so that none touches another. Plain
// arithmetic, without a page.
//
// A flight is an object {start, end, from, to, width}: the left edge moves at
// constant speed from `from` to `to` between the times start and end.

/** The left edge of a flight at a time. */
export function edge(flight, time) {
  const { start, end, from, to } = flight;
  return from + ((to - from) * (time - start)) / (end - start);
}

/** Whether two flights in one track ever come closer than gap. */
export function clash(a, b, gap) {
  const first = Math.max(a.start, b.start);
  const last = Math.min(a.end, b.end);
  if (first >= last) return false;
  // Both move in straight lines: if one is left of the other at both ends of
  // their common time, it is so all the while.
  const side = (time) => {
    const x = edge(a, time);
    const y = edge(b, time);
    if (x + a.width + gap <= y) return -1;
    return y + b.width + gap <= x ? 1 : 0;
  };
  const before = side(first);
  return before === 0 || before !== side(last);
}

/** The tracks of a screen, from the top down. */
export class Tracks {
  #tracks = [];
  #gap;

  constructor(gap) {
    this.#gap = gap;
  }

  /** Sets the number of tracks. Flights in tracks that remain stay. */
  resize(count) {
    while (this.#tracks.length < count) this.#tracks.push([]);
    this.#tracks.length = count;
  }

  get count() {
    return this.#tracks.length;
  }

  clear() {
    this.#tracks = this.#tracks.map(() => []);
  }

  /**
   * Finds the first span of tracks that is free for the whole flight, takes it
   * and returns its number, or -1 if there is none.
   */
  place(flight, { span = 1, bottom = false, now = flight.start } = {}) {
    const last = this.#tracks.length - span;
    for (let i = 0; i <= last; i++) {
      const track = bottom ? last - i : i;
      if (this.#free(track, span, flight, now)) {
        for (let k = track; k < track + span; k++) this.#tracks[k].push(flight);
        return track;
      }
    }
    return -1;
  }

  #free(track, span, flight, now) {
    for (let k = track; k < track + span; k++) {
      const active = this.#tracks[k].filter((f) => f.end > now);
      this.#tracks[k] = active;
      if (active.some((f) => clash(f, flight, this.#gap))) return false;
    }
    return true;
  }
}
