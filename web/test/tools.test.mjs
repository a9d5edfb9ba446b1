// The parts that need no connection: the parser of event streams, errors, arguments.

import assert from 'node:assert/strict';
import test from 'node:test';
import { ImError, connect, internals } from '../im.js';
import { start } from './fakes.mjs';

const { eventStream } = internals;

const STREAM = [
  ': a comment', '', 'data: one', '', 'id: e1.7,e2.9', 'event: x', 'data:two', 'data:  2', 'data', '', 'id', 'data: :colon: é😀', 'retry: 5', '',
  'id: bad\0', 'nonsense', 'data: last', '', 'data: unfinished',
];
const EVENTS = [
  { data: 'one', id: '', type: '' },
  { data: 'two\n 2\n', id: 'e1.7,e2.9', type: 'x' },
  { data: ':colon: é😀', id: '', type: '' },
  { data: 'last', id: '', type: '' },
];

for (const [name, end] of [['LF', '\n'], ['CR', '\r'], ['CRLF', '\r\n']]) {
  test(`event streams with ${name}, cut at every byte`, () => {
    const bytes = new TextEncoder().encode(STREAM.join(end));
    for (let at = 0; at <= bytes.length; at++) {
      const got = [];
      const feed = eventStream((e) => got.push(e));
      const text = new TextDecoder();
      for (const part of [bytes.subarray(0, at), new Uint8Array(), bytes.subarray(at)]) feed(text.decode(part, { stream: true }));
      assert.deepEqual(got, EVENTS, `cut at ${at}`);
    }
  });

  test(`event streams with ${name}, byte by byte`, () => {
    const got = [];
    const feed = eventStream((e) => got.push(e));
    const text = new TextDecoder();
    for (const byte of new TextEncoder().encode(STREAM.join(end))) feed(text.decode(Uint8Array.of(byte), { stream: true }));
    assert.deepEqual(got, EVENTS);
  });
}

test('an error says what its code allows', () => {
  const rules = { kicked: 'never', rate_limited: 'later', expired: 'with_token', shutdown: 'reconnect', insufficient_funds: 'never', constructor: 'never' };
  for (const [code, rule] of Object.entries(rules)) assert.equal(new ImError(code).retry, rule, code);
  const e = new ImError('rate_limited', 'slowly', { retryAfter: 1200 });
  assert.ok(e instanceof Error);
  assert.equal(`${e}`, 'ImError: rate_limited: slowly');
  assert.equal(e.retryAfter, 1200);
});

test('the table of errors is the one of the protocol', async () => {
  const { readFileSync } = await import('node:fs');
  const text = readFileSync(new URL('../../docs/protocol.md', import.meta.url), 'utf8').split(/<!-- errors:\w+ -->/)[1];
  const rows = [...text.matchAll(/^\| `(\w+)` \| \d+ \| \d+ \| (\w+) \|/gm)];
  assert.ok(rows.length > 15);
  for (const [, code, rule] of rows) assert.equal(new ImError(code).retry, rule, code);
});

test('the URL of the mount', async () => {
  const urls = {
    '/im': 'wss://example.org/im/ws',
    'im/': 'wss://example.org/show/im/ws',
    'https://hub.example/a/b': 'wss://hub.example/a/b/ws',
    'ws://127.0.0.1:8080/im': 'ws://127.0.0.1:8080/im/ws',
  };
  for (const [mount, want] of Object.entries(urls)) {
    const t = start({ mount });
    await t.clock.advance(0);
    assert.equal(t.server.peer.url, want);
    assert.equal(t.server.peer.protocol, 'im.v1');
    t.client.close();
  }
});

test('wrong arguments fail at once, and do not repeat secrets', () => {
  for (const mount of ['https://x.example/im?token=secret', 'https://u:secret@x.example/im', 'https://x.example/im#secret', 'ftp://secret/im', 'http://[secret']) {
    assert.throws(() => start({ mount }), (e) => e instanceof TypeError && !e.message.includes('secret'), mount);
  }
  assert.throws(() => start({ transports: ['carrier-pigeon'] }), /there is no 'carrier-pigeon'/);
  assert.throws(() => start({ transports: ['toString'] }), TypeError);
  assert.throws(() => connect('/im'), TypeError); // there is no page here
});
