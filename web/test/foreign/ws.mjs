// The package ws: everything that a WebSocket of this protocol does, in one go.

import { WebSocket } from 'ws';
import { Watch, withResolvers } from './watch.mjs';

const url = `${process.env.HUB.replace('http', 'ws')}/ws`;
const watch = new Watch();
const result = { answers: [], closes: [], received: 0, pings: 0, rooms: watch.rooms };

const connect = (token) => new WebSocket(url, ['im.v1'], { headers: { Authorization: `Bearer ${token}` } });
const once = (ws, event) => new Promise((resolve) => ws.once(event, (...args) => resolve(args)));

/** Opens a connection, and returns how to ask and how it ends. */
async function open() {
  const ws = connect('fan');
  const asked = new Map();
  ws.on('message', (data, binary) => {
    if (binary) throw new Error('a binary message');
    result.received += data.length;
    for (const m of [JSON.parse(data)].flat()) {
      watch.fold(m);
      if (m.op === 'bye') result.bye = m;
      if (!asked.has(m.id)) continue;
      if (m.op !== 'joined' && m.id !== 8) result.answers.push({ id: m.id, op: m.op, code: m.code, status: m.status, event: m.event });
      asked.get(m.id).resolve(m);
      asked.delete(m.id);
    }
  });
  ws.on('ping', () => result.pings++);
  ws.on('upgrade', ({ headers }) => (result.extensions = headers['sec-websocket-extensions']));
  const closed = once(ws, 'close').then(([code]) => result.closes.push(code));
  await once(ws, 'open');
  /** Sends one request, or several as an array. */
  const ask = (...requests) => {
    for (const q of requests) asked.set(q.id, withResolvers());
    ws.send(JSON.stringify(requests.length > 1 ? requests : requests[0]));
    return Promise.all(requests.map((q) => asked.get(q.id).promise));
  };
  return { ws, ask, closed };
}

const refused = connect('wrong');
refused.on('error', () => {}); // of the abort
const [, response] = await once(refused, 'unexpected-response');
let body = '';
for await (const chunk of response) body += chunk;
result.refused = { status: response.statusCode, message: JSON.parse(body) };

const binary = connect('fan');
await once(binary, 'open');
binary.send(Buffer.from('{"op":"ping","id":1}'));
const [code, reason] = await once(binary, 'close');
result.binary = { code, reason: reason.toString() };

const first = await open();
result.protocol = first.ws.protocol;
await first.ask({ op: 'join', id: 1, room: '42' });
const text = 'the same words, again and again. '.repeat(120); // worth to be compressed, in both directions
const chat = (id, cid, value) => ({ op: 'send', id, room: '42', kind: 'chat', cid, body: value });
await first.ask(chat(2, 'c-1', { text }), chat(3, 'c-2', { text }));
await first.ask(chat(4, 'c-1', { text }));
await first.ask(chat(5, 'c-1', 'something else'));
await first.ask({ op: 'send', id: 6, room: '42', kind: 'notice', body: 'I am the host' });
await first.ask({ op: 'ping', id: 7 });
first.ws.ping('are you there?');
result.pong = (await once(first.ws, 'pong')).toString();
for (result.pings = 0; result.pings < 3; ) await once(first.ws, 'ping'); // answered by the package
first.ask(chat(8, 'c-3', 'cut me')); // whether the answer comes before the cut is not known
await first.closed;

const second = await open();
await second.ask({ op: 'join', id: 9, room: '42', since: watch.since('42') });
await second.ask(chat(10, 'c-4', 'shut down'));
await second.closed;
console.log(JSON.stringify(result));
