// Gifts, likes, people and moderation, as a page sees them, against a server that a test moves by hand.

import assert from 'node:assert/strict';
import test from 'node:test';
import { gifts, likes, moderation, people } from '../features.js';
import { enter, joined, online, outcome, settle } from './fakes.mjs';

/** A client in a room, with a feature. */
async function inRoom(make, more) {
  const t = await online();
  const { room } = await enter(t, '42', {}, more);
  const env = { setTimeout: t.clock.setTimeout, clearTimeout: t.clock.clearTimeout, random: () => 0.5 };
  const heard = [];
  const feature = make(t.client, room, { env });
  const hear = (...types) => types.forEach((type) => feature.on(type, (e) => heard.push([type, e])));
  const say = (...messages) => t.server.peer.say(...messages);
  let seq = 100;
  const happens = (...events) => {
    const prev = seq;
    say({ op: 'events', room: '42', prev, to: (seq += events.length), events: events.map((e, i) => ({ seq: prev + 1 + i, id: `e${prev + 1 + i}`, at: 1, ...e })) });
  };
  const take = async () => (await settle(), t.server.peer.take());
  return { ...t, room, feature, heard, hear, say, happens, take, env };
}

const ack = (q, body, status = 'ok') => ({ op: 'ack', id: q.id, status, body });
const refuse = (q, code, more) => ({ op: 'error', id: q.id, code, ...more });

test('purchases carry a cid, and only what was given', async () => {
  const t = await inRoom(gifts);
  const cases = [
    [(f) => f.send('rose', { count: 3, price: 10 }), 'gift.send', { gift: 'rose', count: 3, price: 10 }],
    [(f) => f.send('rose'), 'gift.send', { gift: 'rose' }],
    [(f) => f.pay('hi', 500), 'paid.send', { amount: 500, text: 'hi' }],
    [(f) => f.packets.open(1000, 10), 'packet.send', { amount: 1000, shares: 10 }],
    [(f) => f.packets.open(1000, 10, { split: 'even' }), 'packet.send', { amount: 1000, shares: 10, split: 'even' }],
    [(f) => f.packets.claim('p'), 'packet.claim', { packet: 'p' }],
    [(f) => f.packets.show('p'), 'packet.show', { packet: 'p' }],
    [(f) => f.list(), 'gift.list', {}],
    [(f) => f.top('day'), 'gift.top', { list: 'day' }],
  ];
  for (const [call, op, body] of cases) {
    const answer = call(t.feature);
    const [q] = await t.take();
    assert.deepEqual([q.op, q.room, q.body], [op, '42', body]);
    assert.ok(q.cid);
    t.say(ack(q, { order: 'o', state: 'delivered' }));
    assert.equal((await answer).state, 'delivered');
  }
  const declined = outcome(t.feature.send('rose'));
  const [q] = await t.take();
  t.say(refuse(q, 'declined', { reason: 'no coins' }));
  await settle();
  assert.deepEqual([declined.error.code, declined.error.reason], ['declined', 'no coins']);
});

test('equal gifts fold into one that grows, and ends', async () => {
  const t = await inRoom(gifts);
  t.hear('combo', 'comboend', 'paid');
  const gift = (count, combo, more) => ({ kind: 'gift', from: { id: 'u2' }, body: { type: 'gift', order: `o${count}`, gift: 'rose', count: 1, combo: { id: combo, count, window_ms: 5000 }, ...more } });
  t.happens(gift(1, 'a'), gift(3, 'a'), gift(2, 'a')); // the second came late
  t.happens({ kind: 'gift', body: { type: 'gift', order: 'r', gift: 'rocket', count: 2 } });
  t.happens({ kind: 'gift', body: { type: 'unheard-of' } }, { kind: 'gift' }, { kind: 'gift', body: 'x' });
  assert.deepEqual(t.heard.map(([type, c]) => [type, c.id, c.count, c.grew]), [['combo', 'a', 1, 1], ['combo', 'a', 3, 2], ['combo', 'a', 3, 0], ['combo', 'r', 2, 2]]);
  assert.deepEqual(t.feature.combos.map((c) => c.id), ['a']);
  await t.clock.advance(4999);
  assert.equal(t.heard.length, 4);
  await t.clock.advance(1);
  assert.deepEqual(t.heard.slice(4).map(([type, c]) => [type, c.id, c.count]), [['comboend', 'a', 3]]);
  t.happens({ kind: 'gift', body: { type: 'paid', order: 'p', text: 'x' } });
  assert.deepEqual(t.heard.at(-1)[1].body.text, 'x');
});

test('a gift that is deleted ends, and a feature that is closed is silent', async () => {
  const t = await inRoom(gifts);
  t.hear('combo', 'comboend');
  t.happens({ kind: 'gift', from: { id: 'u2' }, body: { type: 'gift', order: 'o', gift: 'rose', count: 1, combo: { id: 'a', count: 1, window_ms: 5000 } } });
  t.happens({ kind: 'moderation', body: { type: 'delete', epoch: 'e1', seqs: [101] } });
  assert.deepEqual(t.heard.map(([type]) => type), ['combo', 'comboend']);
  t.feature.close();
  t.happens({ kind: 'gift', body: { type: 'gift', order: 'o', gift: 'rose', count: 1 } });
  assert.equal(t.heard.length, 2);
});

test('top givers and pins are the state', async () => {
  const pin = (amount, until) => ({ value: { type: 'paid', amount, until, text: 'x' }, version: 5 });
  const t = await inRoom(gifts, { state: { 'gift.pin.a': pin(100, 9), 'gift.pin.b': pin(500, 9), 'gift.top.all': { value: { top: [{ id: 'u1', amount: 5 }] }, version: 6 } } });
  t.hear('pins', 'givers');
  assert.deepEqual(t.feature.pins.map((p) => p.amount), [500, 100]);
  assert.equal(t.feature.givers.all.top[0].id, 'u1');
  assert.equal(t.feature.givers.day, undefined);
  t.happens({ kind: 'state', body: { key: 'gift.pin.b', delete: true } }, { kind: 'state', body: { key: 'gift.top.day', value: { top: [] } } });
  assert.deepEqual(t.heard.map(([type]) => type), ['pins', 'givers']);
  assert.deepEqual(t.heard[0][1].map((p) => p.amount), [100]);
  assert.equal(t.heard[1][1].list, 'day');
});

test('a pending order ends by a direct message, or is asked about after a reconnect', async () => {
  const t = await inRoom(gifts);
  t.hear('order');
  const buy = async (order) => {
    const answer = t.feature.send('rose');
    const [q] = await t.take();
    t.say(ack(q, { order, state: 'pending' }));
    assert.equal((await answer).state, 'pending');
  };
  await buy('o1');
  t.say({ op: 'direct', kind: 'gift', event: 'd1', at: 1, body: { type: 'order', room: '42', order: 'o1', state: 'delivered' } });
  assert.deepEqual(t.heard.map(([, o]) => [o.order, o.state]), [['o1', 'delivered']]);
  await buy('o2');
  t.server.peer.close();
  await t.clock.until(() => t.server.peers.length === 2);
  t.say({ op: 'welcome', sid: 's2', user: { id: 'u1' }, heartbeat_ms: 25_000, protocol: 1 });
  const asked = (await t.take()).filter((q) => q.op === 'gift.order');
  assert.deepEqual(asked.map((q) => q.body), [{ order: 'o2' }]);
  t.say(ack(asked[0], { order: 'o2', state: 'canceled' }));
  await settle();
  assert.deepEqual(t.heard.at(-1)[1], { order: 'o2', state: 'canceled' });
});

test('likes gather, and know their own', async () => {
  const t = await inRoom((client, room, options) => likes(room, options), { state: { 'im.total.like': { value: 90, version: 5 } } });
  t.hear('total', 'grow', 'milestone');
  for (let i = 0; i < 13; i++) t.feature.add();
  assert.deepEqual([t.feature.total, t.feature.waiting, (await t.take()).length], [90, 13, 0]);
  await t.clock.advance(250);
  const [q] = await t.take();
  assert.deepEqual([q.kind, q.body], ['like', { n: 10 }]);
  t.happens({ kind: 'like', merged: true, body: { n: 12, total: 102 } });
  assert.deepEqual(t.heard.map(([type, e]) => [type, e.mine, e.others]).filter(([type]) => type === 'grow'), [['grow', 10, 2]]);
  assert.equal(t.feature.total, 102);
  t.say(refuse(q, 'rate_limited', { retry_ms: 700 }));
  await t.clock.advance(699);
  assert.equal((await t.take()).length, 0);
  await t.clock.advance(1);
  const [again] = await t.take();
  assert.deepEqual(again.body, { n: 10 });
  t.say(ack(again, undefined, 'merged'));
  await t.clock.advance(250);
  const [rest] = await t.take();
  assert.deepEqual(rest.body, { n: 3 });
  t.say(ack(rest, undefined, 'merged'));
  await t.clock.advance(1000);
  assert.deepEqual([t.feature.waiting, (await t.take()).length], [0, 0]);
  t.happens({ kind: 'notice', body: { reaction: 'like', milestone: 100 } }, { kind: 'notice', body: { reaction: 'heart', milestone: 100 } });
  assert.deepEqual(t.heard.filter(([type]) => type === 'milestone').map(([, e]) => e.n), [100]);
});

const told = (presence) => ({ op: 'online', room: '42', count: 1, told: { presence } });

test('people are kept by what is told', async () => {
  const t = await inRoom(people, { told: { presence: { of: 'r', v: 3, prev: 0, count: 2, in: [{ id: 'a' }, { id: 'b' }] } } });
  t.hear('change');
  const ids = () => t.feature.members?.map((m) => m.id) ?? null;
  assert.deepEqual([t.feature.count, ids()], [2, ['a', 'b']]);
  t.say(told({ of: 'r', v: 3, prev: 0, count: 2, in: [] })); // again
  assert.equal(t.heard.length, 0);
  t.say(told({ of: 'r', v: 5, prev: 2, count: 2, in: [{ id: 'c', name: 'C' }, { id: 'b', name: 'B' }], out: ['a'] }));
  assert.deepEqual(ids(), ['b', 'c']);
  t.say(told({ of: 'r', v: 9, prev: 7, count: 9 })); // something was missed
  assert.deepEqual([t.feature.count, ids()], [9, null]);
  t.say(told({ of: 'r', v: 10, count: 2000, large: true, top: [{ id: 'z' }] }));
  assert.deepEqual([t.feature.large, ids(), t.feature.top], [true, null, [{ id: 'z' }]]);
  assert.deepEqual(await t.feature.list(), []);
  t.say(told({ of: 's', v: 1, prev: 0, count: 1, in: [{ id: 'q' }] })); // another server
  assert.deepEqual(ids(), ['q']);
});

test('the roster is read page by page, with what is told meanwhile on top', async () => {
  const t = await inRoom(people, { told: { presence: { of: 'r', v: 3, prev: 2, count: 3 } } });
  const list = t.feature.list();
  const [first] = await t.take();
  assert.deepEqual([first.op, first.body], ['presence.list', { after: 0, max: 500 }]);
  t.say(ack(first, { of: 'r', v: 3, count: 3, members: [{ id: 'a' }, { id: 'b' }], next: 2 }));
  const [second] = await t.take();
  assert.equal(second.body.after, 2);
  t.say(told({ of: 'r', v: 4, prev: 1, count: 3, in: [{ id: 'd' }], out: ['a'] }));
  t.say(ack(second, { of: 'r', v: 4, count: 3, members: [{ id: 'c' }] }));
  assert.deepEqual((await list).map((m) => m.id), ['b', 'c', 'd']);
  t.say(told({ of: 'r', v: 5, prev: 4, count: 2, out: ['b'] }));
  assert.deepEqual(t.feature.members.map((m) => m.id), ['c', 'd']);
});

test('who watches asks again, but not at once and not all the time', async () => {
  const t = await inRoom(people, { told: { presence: { of: 'r', v: 3, prev: 0, count: 1, in: [{ id: 'a' }] } } });
  const off = t.feature.watch();
  const miss = (v) => t.say(told({ of: 'r', v, prev: v - 1, count: 1 }));
  miss(5);
  await t.clock.advance(2499);
  assert.equal((await t.take()).length, 0);
  await t.clock.advance(1);
  const [q] = await t.take();
  t.say(ack(q, { of: 'r', v: 5, count: 1, members: [{ id: 'b' }] }));
  await settle();
  assert.deepEqual(t.feature.members.map((m) => m.id), ['b']);
  miss(8);
  await t.clock.advance(9_900);
  assert.equal((await t.take()).length, 0);
  await t.clock.advance(5_000);
  const [again] = await t.take();
  assert.equal(again?.op, 'presence.list');
  off();
  t.say(refuse(again, 'overloaded'));
  await t.clock.advance(60_000);
  assert.equal((await t.take()).length, 0);
});

test('the operations of moderation', async () => {
  const t = await inRoom(moderation);
  const cases = [
    [(f) => f.mute('u2', { ms: 600_000, reason: 'x' }), 'mod.mute', { user: 'u2', ms: 600_000, reason: 'x' }],
    [(f) => f.shadow({ device: 'd' }), 'mod.shadow', { device: 'd' }],
    [(f) => f.ban({ user: 'u2', by: 'address' }, { hub: true }), 'mod.ban', { user: 'u2', by: 'address', hub: true }],
    [(f) => f.unmute('u2'), 'mod.unmute', { user: 'u2' }],
    [(f) => f.unshadow('u2'), 'mod.unshadow', { user: 'u2' }],
    [(f) => f.unban({ prefix: '203.0.113.0/24' }), 'mod.unban', { prefix: '203.0.113.0/24' }],
    [(f) => f.kick('u2', { reason: 'x' }), 'mod.kick', { user: 'u2', reason: 'x' }],
    [(f) => f.delete({ seqs: [1, 2] }), 'mod.delete', { seqs: [1, 2] }],
    [(f) => f.delete({ user: 'u2', kinds: ['chat'], reason: 'x' }), 'mod.delete', { user: 'u2', kinds: ['chat'], reason: 'x' }],
    [(f) => f.pass('e'), 'mod.pass', { event: 'e' }],
    [(f) => f.refuse('e', { reason: 'x' }), 'mod.refuse', { event: 'e', reason: 'x' }],
    [(f) => f.waiting(), 'mod.waiting', {}],
    [(f) => f.approve(['chat']), 'mod.approval', { kinds: ['chat'] }],
    [(f) => f.approve([]), 'mod.approval', {}],
    [(f) => f.modes({ slow_ms: 5000 }), 'mod.modes', { modes: { slow_ms: 5000 } }],
    [(f) => f.pin({ seq: 7, ms: 60_000 }), 'mod.pin', { seq: 7, ms: 60_000 }],
    [(f) => f.pin({ id: 'rules', text: 'x' }), 'mod.pin', { id: 'rules', text: 'x' }],
    [(f) => f.unpin('rules'), 'mod.unpin', { id: 'rules' }],
    [(f) => f.announce('x'), 'mod.announce', { text: 'x' }],
    [(f) => f.report(7, { reason: 'x' }), 'mod.report', { seq: 7, reason: 'x' }],
    [(f) => f.reports(), 'mod.reports', {}],
    [(f) => f.resolve('r', { reason: 'x' }), 'mod.resolve', { id: 'r', reason: 'x' }],
    [(f) => f.sanctions({ hub: true }), 'mod.sanctions', { hub: true }],
    [(f) => f.why({ user: 'u2' }), 'mod.why', { user: 'u2' }],
    [(f) => f.explain('u2'), 'explain', { user: 'u2' }],
  ];
  for (const [call, op, body] of cases) {
    const answer = call(t.feature);
    const [q] = await t.take();
    assert.deepEqual([q.op, q.room, q.body], [op, '42', body]);
    t.say(ack(q, {}));
    await answer;
  }
});

test('staff keeps what waits and what was reported, over a reconnect as well', async () => {
  const t = await inRoom(moderation);
  t.hear('waiting', 'decided', 'report', 'resolved', 'queue', 'reports', 'error');
  const direct = (type, what, room = '42') => t.say({ op: 'direct', kind: 'moderation', at: 1, body: { type, room, [type]: what } });
  const answer = async (waiting, reports, more) => {
    const asked = await t.take();
    assert.deepEqual(asked.map((q) => q.op).filter((op) => op !== 'join'), ['mod.waiting', 'mod.reports']);
    more?.();
    for (const q of asked) if (q.op !== 'join') t.say(ack(q, q.op === 'mod.waiting' ? { waiting } : { reports }));
    await settle();
  };
  t.feature.attend();
  await answer([{ event: 'a' }, { event: 'b' }], [{ id: 'r', count: 1 }], () => {
    direct('waiting', { event: 'c' });
    direct('decided', { event: 'a', passed: true });
    direct('waiting', { event: 'other' }, '43');
  });
  const has = () => [t.feature.queue.map((w) => w.event), t.feature.open.map((r) => r.id)];
  assert.deepEqual(has(), [['b', 'c'], ['r']]);
  direct('report', { id: 's', count: 2 });
  direct('resolved', { id: 'r' });
  assert.deepEqual(has(), [['b', 'c'], ['s']]);
  const late = outcome(t.feature.pass('b')); // somebody else was faster
  const [q] = await t.take();
  t.say(refuse(q, 'not_found'));
  await settle();
  assert.equal(late.error.code, 'not_found');
  assert.deepEqual(has(), [['c'], ['s']]);

  t.server.peer.close();
  await t.clock.until(() => t.server.peers.length === 2);
  t.say({ op: 'welcome', sid: 's2', user: { id: 'u1' }, heartbeat_ms: 25_000, protocol: 1 });
  await settle();
  const join = t.server.peer.requests.find((r) => r.op === 'join');
  t.say(joined(join));
  await answer([{ event: 'd' }], []);
  assert.deepEqual(has(), [['d'], []]);
  t.feature.attend(false);
  assert.deepEqual(has(), [[], []]);
  direct('waiting', { event: 'e' });
  assert.deepEqual(has(), [[], []]);
});

test('pins and approval are the state', async () => {
  const t = await inRoom(moderation, { state: { 'mod.pin.a': { value: { id: 'a', text: 'x', at: '2026-11-24T12:00:00Z' }, version: 5 } } });
  t.hear('pins', 'approval');
  t.happens({ kind: 'state', body: { key: 'mod.pin.b', value: { id: 'b', text: 'y', at: '2026-11-24T12:01:00Z' } } }, { kind: 'state', body: { key: 'mod.approval', value: { kinds: ['chat'] } } });
  assert.deepEqual(t.heard, [['pins', t.feature.pins], ['approval', ['chat']]]);
  assert.deepEqual(t.feature.pins.map((p) => p.id), ['b', 'a']);
});
