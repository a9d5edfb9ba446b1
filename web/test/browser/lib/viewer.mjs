// A person in front of the test page.

import { person, visit } from './browser.mjs';
import { until } from './wait.mjs';

/** The ways that a browser may be held to. */
export const WAYS = [
  { name: 'WebSocket', transports: ['websocket'] },
  { name: 'server-sent events', transports: ['sse'] },
  { name: 'long-poll', transports: ['poll'] },
  { name: 'server-sent events over HTTP/2 with TLS', transports: ['sse'], tls: true },
];

/** Opens the page in a browser and connects. @param options of connect, with `user` */
export async function open(t, browser, url, options) {
  const viewer = new Viewer(await visit(await person(t, browser), url));
  await viewer.page.waitForFunction(() => window.bed);
  await viewer.page.evaluate((o) => window.bed.connect(o), options);
  return viewer;
}

/** Opens the page and enters the room. */
export async function enter(t, browser, url, { room, ...options }) {
  const viewer = await open(t, browser, url, options);
  await viewer.page.evaluate((r) => window.bed.join(r), room);
  await viewer.is('in the room', () => window.bed.resets.length === 1);
  return viewer;
}

class Viewer {
  constructor(page) {
    this.page = page;
  }

  /** Fields of window.bed. */
  async get(...names) {
    return this.page.evaluate((all) => Object.fromEntries(all.map((name) => [name, window.bed[name]])), names);
  }

  /** Calls a method of window.bed. */
  async do(method, ...args) {
    return this.page.evaluate(([name, list]) => window.bed[name](...list), [method, args]);
  }

  /** Waits until something is true in the page. */
  async is(what, test, { arg, timeout } = {}) {
    await until(what, () => this.page.evaluate(test, arg), {
      timeout,
      last: () => this.get('statuses', 'error', 'resets', 'resumes', 'noticed'),
    });
  }
}
