// The page of the browser tests. It does what a page of a host does, and keeps what a test asks for in window.bed.

import { connect } from '/im/client.js';
import { Danmaku } from '/im/danmaku.js';

const KEPT = ['chat', 'notice', 'gift', 'state']; // normal and critical: none may be missing or come twice

/** The time of all pages on one machine, in milliseconds. */
const time = () => performance.timeOrigin + performance.now();

class Bed {
  statuses = []; // that the client was in, and those alone that differ
  kept = []; // {seq, kind, body}, since the last reset
  resets = [];
  resumes = [];
  gaps = 0;
  sightings = {}; // text on the overlay: when it was first seen
  fates = []; // of the numbered chat: 'ok', or the code of the error
  #timer = 0;
  #said = 0;

  constructor() {
    // Small, so that no comment waits for a place: what is measured is the way to the overlay.
    this.layer = new Danmaku(document.querySelector('#stage'), { fontScale: 0.5, density: 1 });
    const root = document.querySelector('danmaku-layer').shadowRoot;
    new MutationObserver(() => {
      for (const label of root.querySelectorAll('.flying > span')) this.sightings[label.textContent] ??= time();
    }).observe(root, { subtree: true, childList: true, characterData: true, attributeFilter: ['class'] });
  }

  /** Connects; user is what the hub will take for a token. */
  connect({ mount = '/im', user, ...options }) {
    const bytes = new TextEncoder().encode(JSON.stringify(user));
    const token = btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
    this.client = connect(mount, { token: () => token, ...options });
    this.client.on('status', ({ phase, transport, error }) => {
      const status = transport ?? phase;
      if (this.statuses.at(-1) !== status) this.statuses.push(status);
      if (error) this.error = { code: error.code, reason: error.reason };
    });
  }

  async join(room) {
    const joined = (this.room = await this.client.join(room));
    joined.on('reset', () => {
      this.resets.push(joined.state.get('title') ?? null);
      this.kept = [];
      document.querySelector('#list').replaceChildren();
    });
    joined.on('resumed', ({ missed }) => this.resumes.push(missed));
    joined.on('gap', () => this.gaps++);
    joined.on('event', (e) => this.#show(e));
    joined.on('left', (error) => (this.error = { code: error.code, reason: error.reason }));
    joined.state.on('title', (value) => (document.querySelector('#state').textContent = value));
  }

  #show({ seq, kind, body, from, n, replayed }) {
    if (KEPT.includes(kind)) this.kept.push({ seq, kind, body });
    if (kind === 'danmaku' && !replayed) this.layer.show({ text: body.text, count: n });
    if (kind !== 'chat' && kind !== 'gift') return;
    const item = document.createElement('li');
    for (const text of [from?.name ?? 'host', typeof body === 'string' ? body : (body.text ?? JSON.stringify(body))]) {
      const part = document.createElement('bdi');
      part.textContent = text;
      item.append(part);
    }
    document.querySelector('#list').append(item);
  }

  /** Sends danmaku. @returns when, before it was sent */
  fly(text) {
    const at = time();
    this.room.send('danmaku', { text }).catch((error) => (this.error = { code: error.code, reason: error.reason }));
    return at;
  }

  /** Begins to send numbered chat, every so many milliseconds. */
  chatter(every) {
    this.#timer = setInterval(() => {
      const n = this.#said++;
      this.fates[n] = null;
      this.room.send('chat', { n: n + 1 }).then(
        ({ status }) => (this.fates[n] = status),
        ({ code, message }) => (this.fates[n] = code ?? message),
      );
    }, every);
  }

  hush() {
    clearInterval(this.#timer);
  }

  get status() {
    return this.statuses.at(-1);
  }

  /** The highest number that a notice has told. */
  get noticed() {
    return this.kept.findLast(({ kind }) => kind === 'notice')?.body.n ?? 0;
  }
}

window.violations = []; // of the content policy
document.addEventListener('securitypolicyviolation', (e) => window.violations.push(`${e.effectiveDirective} ${e.blockedURI}`));
window.bed = new Bed();
