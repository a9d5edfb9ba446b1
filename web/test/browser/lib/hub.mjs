// The hub of the tests, package hub, and what can be done to it.

import { fileURLToPath } from 'node:url';
import { build, start } from './program.mjs';

const PAGE = fileURLToPath(new URL('../page', import.meta.url));

/** Builds the hub once for all that a test starts. @returns (t, options) => Promise<Hub> */
export async function hubs(t) {
  const binary = await build(t, './web/test/browser/hub');
  return async (t, options) => {
    const hub = new Hub(t, binary, options);
    await hub.begin('127.0.0.1:0');
    return hub;
  };
}

class Hub {
  #t;
  #binary;
  #args;
  #program;

  constructor(t, binary, { tls = false, origins = [], root = PAGE } = {}) {
    this.#t = t;
    this.#binary = binary;
    this.#args = ['-root', root, '-origins', origins.join(','), `-tls=${tls}`];
  }

  async begin(addr) {
    this.#program = await start(this.#t, this.#binary, ['-addr', addr, ...this.#args]);
    Object.assign(this, JSON.parse(this.#program.line));
    this.port = Number(new URL(this.url).port);
  }

  /** Kills the process, and starts another one at the same address, with nothing in its log. */
  async replace() {
    await this.#program.kill();
    await this.begin(`127.0.0.1:${this.port}`);
  }

  /** Ends hub and web server, "close" or "shutdown", and opens them again on the same log. */
  restart = (how) => this.#ask('POST', 'restart', { how });
  /** Stops requests of a path: "refuse", "hang", "drop" or "pass". */
  block = (path, how) => this.#ask('POST', 'block', { path, how });
  /** Says something to a room: as a user, or as the host. */
  say = (room, kind, body, as) => this.#ask('POST', 'say', { room, kind }, { as, body });
  set = (room, key, value) => this.#ask('POST', 'set', { room, key }, value);
  /** Begins to say numbered notices. */
  notices = (room, every) => this.#ask('POST', 'notices', { room, every: `${every}ms` });
  /** Ends them. @returns how many there were */
  silence = (room) => this.#ask('POST', 'silence', { room });
  /** All that the room's log has, but for danmaku. */
  history = (room) => this.#ask('GET', 'history', { room });
  stats = () => this.#ask('GET', 'stats', {});

  async #ask(method, path, query, body) {
    const response = await fetch(`${this.control}/${path}?${new URLSearchParams(query)}`, { method, body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`${path}: ${await response.text()}`);
    return response.json();
  }
}
