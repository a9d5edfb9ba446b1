// A network that can break: TCP from the browser to the hub, cut, stalled and restored.

import { once } from 'node:events';
import { connect, createServer } from 'node:net';

/** Stands before a port of this machine, for the time of the test. */
export async function proxy(t, port) {
  const network = new Network(port);
  await network.listen();
  t.after(() => network.close());
  return network;
}

class Network {
  #target;
  #server;
  #pairs = new Set(); // of sockets
  #down = false;
  #stalled = false;

  constructor(target) {
    this.#target = target;
    this.#server = createServer((near) => this.#accept(near));
  }

  async listen() {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    this.port = this.#server.address().port;
  }

  /** Breaks all connections, and each new one until restore. */
  cut() {
    this.#down = true;
    this.breakAll();
  }

  /** Breaks the connections that there are, once. */
  breakAll() {
    for (const pair of this.#pairs) for (const socket of pair) reset(socket);
  }

  /** Keeps all connections, and passes nothing on until restore. */
  stall() {
    this.#stalled = true;
    for (const pair of this.#pairs) for (const socket of pair) socket.pause();
  }

  restore() {
    this.#down = this.#stalled = false;
    for (const pair of this.#pairs) for (const socket of pair) socket.resume();
  }

  async close() {
    this.cut();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #accept(near) {
    if (this.#down) return reset(near);
    const far = connect(this.#target, '127.0.0.1');
    const pair = [near, far];
    this.#pairs.add(pair);
    for (const [from, to] of [[near, far], [far, near]]) {
      from.setNoDelay(true);
      from.on('data', (bytes) => {
        if (to.write(bytes)) return;
        from.pause();
        to.once('drain', () => this.#stalled || from.resume());
      });
      from.on('end', () => to.end());
      from.on('error', () => reset(to)); // a hub that is down, a browser that has gone
      from.on('close', () => {
        to.end(() => to.destroy());
        if (to.closed) this.#pairs.delete(pair);
      });
      if (this.#stalled) from.pause();
    }
  }
}

/** Breaks a connection. One that is being ended cannot be reset: its handle would stay open. */
function reset(socket) {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}
