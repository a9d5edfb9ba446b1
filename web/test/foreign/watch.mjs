// What a client has seen of its rooms, for a test to compare with their logs.

export class Watch {
  rooms = {};
  byes = [];
  sid;
  #positions = {};
  #open;
  #ended;

  /** @param rooms those that must have said "end" before ended() is over */
  constructor(...rooms) {
    this.#open = new Set(rooms);
    const { promise, resolve } = withResolvers();
    this.ended = promise;
    this.#ended = resolve;
  }

  /** Takes one message of the hub. Pages of history are none of it. */
  fold(m) {
    if (m.op === 'welcome') this.sid = m.sid;
    if (m.op === 'bye') this.byes.push(m.code);
    if (!m.room || m.op === 'history') return;
    const room = (this.rooms[m.room] ??= { joins: [], events: [], missed: 0, lost: 0 });
    switch (m.op) {
      case 'joined':
      case 'reset':
        room.joins.push({ recovered: m.recovered, missed: m.missed });
        room.missed += m.missed;
        this.#positions[m.room] = { epoch: m.epoch, seq: m.seq };
        break;
      case 'events':
      case 'gap':
        if (m.prev > this.#positions[m.room].seq) room.lost++;
        room.missed += m.missed ?? 0;
        this.#positions[m.room].seq = m.to;
    }
    for (const e of m.events ?? []) {
      room.events.push({ seq: e.seq, id: e.id, kind: e.kind, body: e.body });
      if (e.body === 'end') this.#open.delete(m.room);
    }
    if (m.events && !this.#open.size) this.#ended();
  }

  /** The position in a room, as "since" has it. */
  since = (room) => this.#positions[room];
}

/** Promise.withResolvers, which Node.js 20 has not. */
export function withResolvers() {
  const all = {};
  all.promise = new Promise((resolve, reject) => Object.assign(all, { resolve, reject }));
  return all;
}
