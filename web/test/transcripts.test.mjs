// Replays ../../testdata/transcripts over every transport; the README.md there
// says how they are read.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import test from 'node:test';
import { outcome, settle, start, watch } from './fakes.mjs';
import { HttpHub, SocketHub } from './hubs.mjs';

const dir = new URL('../../testdata/transcripts/', import.meta.url);
const files = readdirSync(dir).filter((name) => name.endsWith('.txt'));

for (const name of files) {
  const lines = readFileSync(new URL(name, dir), 'utf8').split('\n').map((line) => line.trim());
  if (!lines.some((line) => line.startsWith('@ '))) continue; // not for clients
  for (const hub of [() => new SocketHub(), () => new HttpHub('sse'), () => new HttpHub('poll')]) {
    const server = hub();
    // A client of the other transports changes its tier by its next request.
    if (name === 'tier.txt' && server.transport !== 'websocket') continue;
    if (lines.some((line) => line.startsWith('? ')) && server.transport !== 'websocket') continue;
    test(`${name} over ${server.transport}`, () => new Replay(server).run(name, lines));
  }
}

test('there are transcripts', () => assert.ok(files.length >= 4));

/** The server and the application of one transcript. */
class Replay {
  rooms = new Map();
  seen = new Map(); // what rooms have shown, as lines
  ids = new Map(); // in the file: as the client chose it
  cids = new Map();
  outcomes = []; // of @ lines: {verb, done, value, error}
  client = null;

  constructor(server) {
    this.server = server;
  }

  async run(file, lines) {
    for (const [i, line] of lines.entries()) {
      try {
        await this.line(line);
        await settle();
      } catch (error) {
        error.message = `${file}:${i + 1}: ${line}\n${error.message}`;
        throw error;
      }
    }
    for (const [room, seen] of this.seen) assert.deepEqual(seen, [], `what room ${room} shows at the end`);
  }

  async line(line) {
    const [, sign, rest] = /^(\S*) ?(.*)$/.exec(line);
    if (sign === '@') this.do(rest);
    else if (sign === '?') await this.checkQuery(rest);
    else if (sign === '>') await this.expect(JSON.parse(rest));
    else if (sign === '<') await this.say(rest);
    else if (sign === '!') await this.breakOff(...rest.split(' '));
    else if (sign === '=') await this.check(rest);
    else assert.ok(sign === '' || sign === '#', 'a line starts with one of # @ ? > < ! =');
  }

  // ------------------------------------------------------------ @

  do(line) {
    const [verb, ...words] = line.split(' ');
    const n = { send: 4, call: 4, set: 4, add: 3, delete: 3, decide: 3, modes: 3 }[verb] ?? 2;
    const args = [...words.slice(0, n - 1), ...(words.length >= n ? [words.slice(n - 1).join(' ')] : [])];
    if (verb === 'connect') return this.connect(args[0]);
    if (verb === 'close') return this.client.close();
    this.outcomes.push(Object.assign(outcome(this.ask(verb, args)), { verb }));
  }

  connect(token) {
    const refuse = this.server.refuse;
    let again = false; // the last token was not seen: its request was refused as a whole
    this.server.refuse = (status) => refuse((again = status));
    refuse(this.refused ?? 0);
    again = this.server.transport !== 'websocket' && this.refused;
    const callback = async () => {
      const now = token;
      if (!again) token += "'";
      again = false;
      return now;
    };
    const t = start({ server: this.server, transports: [this.server.transport], token: token && callback });
    Object.assign(this, { client: t.client, clock: t.clock });
  }

  async ask(verb, args) {
    const since = (text) => text && { epoch: text.slice(0, text.lastIndexOf('.')), seq: Number(text.slice(text.lastIndexOf('.') + 1)) };
    const [name, a, b, c] = args;
    const room = this.rooms.get(name);
    const condition = (version) => ({ if: version === undefined ? undefined : Number(version) });
    switch (verb) {
      case 'join': {
        const joined = await this.client.join(name, { since: since(a) });
        this.rooms.set(name, joined);
        this.seen.set(name, []);
        this.watch(joined);
        return '';
      }
      case 'leave':
        return void (await room.leave());
      case 'tier':
        return void (await room.setTier(a));
      case 'history':
        return void (await room.history({ max: Number(a), newest: true }));
      case 'pages': {
        const seqs = [];
        for await (const { events } of room.pages(JSON.parse(a))) seqs.push(...events.map((e) => e.seq));
        return [name, ...seqs].join(' ');
      }
      case 'set': {
        const [, value, version] = /^(.*?)(?: (\d+))?$/.exec([b, c].filter((x) => x !== undefined).join(' '));
        return `${a} ${await room.state.set(a, JSON.parse(value), condition(version))}`;
      }
      case 'add':
        return `${a} ${(await room.state.add(a, Number(b))).version}`;
      case 'delete':
        return void (await room.state.delete(a, condition(b)));
      case 'modes':
        return `im.modes ${await room.setModes(JSON.parse(a), condition(b))}`;
      case 'decide':
        return void (await room.decide(a, b === 'pass', b === 'pass' ? {} : { reason: b }));
      case 'send': {
        const got = await room.send(a, JSON.parse(c), { cid: b === '-' ? undefined : b });
        return `${got.cid} ${got.status}`;
      }
      case 'call': {
        const got = await this.client.call(name, a === '-' ? null : a, JSON.parse(c), { cid: b });
        return `${got.cid} ${got.status}`;
      }
    }
    throw new Error(`no verb ${verb}`);
  }

  watch(room) {
    const all = watch(room);
    const lines = this.seen.get(room.name);
    all.push = ([type, e]) => {
      const what = {
        reset: () => `${e.position.epoch}.${e.position.seq}`,
        resumed: () => e.missed,
        removed: () => [e.seqs.join(','), e.user].filter(Boolean).join(' '),
        gap: () => e.missed,
        tier: () => e.tier + (e.by ? ` ${e.by}` : ''),
        event: () => e.seq ?? 0,
        online: () => e.count,
        fate: () => `${e.cid} ${e.status}`,
        held: () => (e.status ? `${e.id} ${e.status}` : `${e.event.id} ${e.wait}`),
        left: () => e.code,
      }[type];
      const name = type === 'held' && e.status ? 'decided' : type;
      if (what) lines.push(`${name} ${room.name} ${what()}`);
    };
  }

  // ------------------------------------------------------------ > < !

  async checkQuery(want) {
    assert.ok(await this.clock.until(() => this.server.current), 'the client does not connect');
    const rooms = (query) => {
      const [names, since, tiers] = ['room', 'since', 'tier'].map((key) => new URLSearchParams(query).getAll(key));
      return names.map((name, i) => [name, since[i] ?? '', tiers[i] ?? '']).sort();
    };
    assert.deepEqual(rooms(new URL(this.server.current.url).search), rooms(want));
  }

  async expect(want) {
    const find = () => this.server.asked().findIndex((got) => this.matches(want, got));
    const ok = await this.clock.until(() => find() >= 0);
    assert.ok(ok, `the client has sent ${JSON.stringify(this.server.asked())}`);
    const [got] = this.server.asked().splice(find(), 1);
    if (want.id) this.ids.set(want.id, got.id);
    if (want.cid) this.cids.set(want.cid, got.cid);
  }

  matches(want, got) {
    return Object.entries(want).every(([key, value]) => {
      const name = key === 'id' ? this.ids.get(value) : key === 'cid' && value.startsWith('$') ? this.cids.get(value) : value;
      if (key === 'id' || (key === 'cid' && value.startsWith('$'))) return name === undefined || name === got[key];
      return JSON.stringify(value) === JSON.stringify(got[key]);
    });
  }

  async say(text) {
    if (text.startsWith('[')) return this.server.say(text);
    const m = JSON.parse(text);
    if (m.id !== undefined) m.id = this.ids.get(m.id) ?? null;
    if (m.cid?.startsWith('$')) m.cid = this.cids.get(m.cid);
    this.server.say(JSON.stringify(m));
  }

  async breakOff(how, code) {
    if (how === 'drop') this.server.cut();
    else if (how === 'close') this.server.close(Number(code));
    else if (this.client) this.server.refuse(Number(code));
    else this.refused = Number(code);
  }

  // ------------------------------------------------------------ =

  async check(line) {
    const words = line.split(' ');
    const [what, name] = words;
    if (what === 'connected') {
      assert.ok(await this.clock.until(() => this.client.status.phase === 'online'), 'it does not');
    } else if (what === 'done') {
      await this.outcome([name], (o) => !o.error);
    } else if (what === 'refused') {
      await this.outcome([name], (o) => o.error?.code === words[2]);
    } else if (what === 'ack') {
      await this.outcome(['send', 'call'], (o) => o.value === `${this.cids.get(name) ?? name} ${words[2]}`);
    } else if (what === 'version') {
      await this.outcome(['set', 'add', 'modes'], (o) => o.value === `${name} ${words[2]}`);
    } else if (what === 'pages') {
      await this.outcome(['pages'], (o) => o.value === words.slice(1).join(' '));
    } else if (what === 'closed') {
      assert.equal(this.client.status.phase, 'closed');
      assert.equal(this.client.status.error.code, name === '-' ? 'closed' : name);
    } else if (what === 'state') {
      const value = this.rooms.get(name).state.get(words[2]);
      assert.equal(value === undefined ? '-' : JSON.stringify(value), words.slice(3).join(' '));
    } else if (what === 'modes') {
      assert.equal(JSON.stringify(this.rooms.get(name).modes), words[2]);
    } else if (what === 'position') {
      const { epoch, seq } = this.rooms.get(name).position;
      assert.equal(`${epoch}.${seq}`, words[2]);
    } else {
      const seen = this.seen.get(name);
      await this.clock.until(() => seen.length);
      assert.equal(seen.shift(), line);
    }
  }

  async outcome(verbs, fits) {
    const find = () => this.outcomes.findIndex((o) => o.done && verbs.includes(o.verb) && fits(o));
    assert.ok(await this.clock.until(() => find() >= 0), `outcomes are ${JSON.stringify(this.outcomes)}`);
    this.outcomes.splice(find(), 1);
  }
}
