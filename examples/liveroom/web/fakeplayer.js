// A player without a film: a clock that can be stopped, moved and made faster, and that has what a replay
// uses of a <video>.

export class FakePlayer extends EventTarget {
  duration;
  seeking = false;
  #at = 0; // seconds, at #since
  #since = 0;
  #rate = 1;
  #paused = true;
  #timer = 0;

  constructor(duration) {
    super();
    this.duration = duration;
  }

  get currentTime() {
    const passed = this.#paused ? 0 : ((performance.now() - this.#since) / 1000) * this.#rate;
    return Math.min(this.#at + passed, this.duration);
  }

  set currentTime(seconds) {
    this.#set({ at: Math.min(Math.max(seconds, 0), this.duration) });
    this.dispatchEvent(new Event('seeking'));
    this.#tick();
  }

  get paused() {
    return this.#paused;
  }

  get playbackRate() {
    return this.#rate;
  }

  set playbackRate(rate) {
    this.#set({ rate });
    this.dispatchEvent(new Event('ratechange'));
  }

  play() {
    if (this.currentTime >= this.duration) this.currentTime = 0;
    this.#set({ paused: false });
    this.#timer ||= setInterval(() => this.#tick(), 250);
    this.dispatchEvent(new Event('play'));
  }

  pause() {
    this.#set({ paused: true });
    clearInterval(this.#timer);
    this.#timer = 0;
    this.dispatchEvent(new Event('pause'));
  }

  #set({ at = this.currentTime, rate = this.#rate, paused = this.#paused }) {
    this.#at = at;
    this.#since = performance.now();
    this.#rate = rate;
    this.#paused = paused;
  }

  #tick() {
    this.dispatchEvent(new Event('timeupdate'));
    if (!this.#paused && this.currentTime >= this.duration) this.pause();
  }
}
