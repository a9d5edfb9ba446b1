// People who talk all the time: numbered chat of a page, which is normal, and numbered notices of the host, which are critical.

import assert from 'node:assert/strict';
import { until } from './wait.mjs';

const ROOM = '42';
const EVERY = 60; // ms

/** Begins to talk. @returns ways to wait for what is said */
export async function begin(hub, sender, ...others) {
  await hub.notices(ROOM, EVERY);
  await sender.do('chatter', EVERY);
  const count = async () => (await hub.history(ROOM)).length;
  const talk = {
    /** So much more is said, whoever hears it. */
    async goesOn(more = 20) {
      const before = await count();
      await until(`${more} more events`, async () => (await count()) >= before + more);
    },
    /** All hear what the host says now, and the sender is heard. */
    async caughtUp(how) {
      const last = (await hub.history(ROOM)).findLast(({ kind }) => kind === 'notice')?.body.n ?? 0;
      for (const viewer of [sender, ...others]) {
        await viewer.is('hears what is said now', (n) => window.bed.noticed > n, { arg: last, ...how });
      }
      const { fates } = await sender.get('fates');
      await sender.is('is answered', (n) => window.bed.fates.slice(0, n).every(Boolean), { arg: fates.length, ...how });
    },
  };
  await talk.caughtUp();
  return talk;
}

/** Ends the talk, when the fate of all that was sent is known. */
export async function end(hub, sender) {
  await sender.do('hush');
  await sender.is('every message has its fate', () => window.bed.fates.every(Boolean));
  await hub.silence(ROOM);
}

/**
 * Checks that all pages have the room's history, as it is: nothing is missing, nothing twice, nothing out of order; and that the
 * history has each message that was sent, once. @param from the first message that this log must have, at the latest
 */
export async function compare(hub, viewers, { from = 1 } = {}) {
  const history = await hub.history(ROOM);
  for (const viewer of viewers) {
    await viewer.is('has the last event', (seq) => window.bed.kept.at(-1)?.seq >= seq, { arg: history.at(-1).seq });
    const { kept } = await viewer.get('kept');
    assert.deepEqual(kept, history);
  }
  const numbers = (wanted) => history.filter(({ kind }) => kind === wanted).map(({ body }) => body.n);
  const notices = numbers('notice');
  assert.deepEqual(notices, notices.map((_, i) => i + 1));
  const { fates } = await viewers[0].get('fates');
  assert.deepEqual(fates.filter((fate) => fate !== 'ok'), []);
  const chat = numbers('chat');
  const first = from === 1 ? 1 : chat[0];
  assert.ok(first >= from);
  assert.deepEqual(chat, Array.from({ length: fates.length - first + 1 }, (_, i) => first + i));
  return { chat: chat.length, notices: notices.length };
}
