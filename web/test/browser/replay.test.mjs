// The replay of a recorded room, as a visitor watches it: it plays, stops, goes back and ahead, and faster. And what the page
// looks like, in SHOTS.

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { launch, person, visit } from './lib/browser.mjs';
import { guard, HOSTILE, harmless } from './lib/hostile.mjs';
import { fits, shoot } from './lib/liveroom.mjs';
import { watchOverlay } from './lib/overlay.mjs';
import { build, start } from './lib/program.mjs';
import { until } from './lib/wait.mjs';

/** A recording of a minute: two danmaku a second that say when they came, and some that would harm a page. */
async function minute(t) {
  const dir = await mkdtemp(join(tmpdir(), 'im-recording-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const hostile = Object.values(HOSTILE);
  const lines = Array.from({ length: 120 }, (_, i) => ({ t: i / 2, user: `u${i}`, text: i % 12 === 5 ? hostile[(i / 12) | 0] ?? 'none' : `said at ${i / 2}` }));
  const file = join(dir, 'minute.jsonl');
  await writeFile(file, [...lines, { t: 3600, text: 'an hour later' }].map((line) => JSON.stringify(line) + '\n').join(''));
  return file;
}

test('the page of a replay', async (t) => {
  const binary = await build(t, './examples/liveroom');
  // Ten times as fast: what is then recorded took six seconds.
  const { line } = await start(t, binary, ['-addr', '127.0.0.1:0', '-calm', '-replay', await minute(t), '-speed', '10']);
  const url = line.match(/http:\S+/)[0];
  const browser = await launch(t);
  const context = await person(t, browser);
  await guard(context);
  const recorded = async () => {
    const page = await visit(context, `${url}replay?room=42`);
    await until('an answer', () => page.evaluate(() => !document.querySelector('#play').disabled || document.querySelector('#remark').textContent));
    return page;
  };
  let page;
  await until('the room is recorded', async () => {
    page = await recorded();
    if (Number(await page.getAttribute('#bar', 'max')) > 5 + 5) return true;
    await page.close();
    return false;
  }, { timeout: 30_000 });
  await page.evaluate(watchOverlay);
  // What the room keeps, in its order, with the seconds since the first: those who said it did so at once and ten times as fast,
  // so that neither their order nor their distances are sure to be those of the file.
  const kept = await page.evaluate(async () => {
    const { connect } = await import('/im/client.js');
    const client = connect('/im');
    const joined = await client.join(document.documentElement.dataset.room, { tier: 'critical' });
    const events = [];
    for await (const page of joined.pages({ kinds: ['danmaku'] })) events.push(...page.events);
    client.close();
    return events.map(({ at, body }) => ({ at: (at - events[0].at) / 1000, text: body?.text ?? body }));
  });
  const said = (text) => text.startsWith('said at ');
  const census = await page.evaluate(() => window.census());
  const flown = () => page.evaluate(() => [...window.flown.keys()].filter((text) => text.startsWith('said at ')));
  const stand = async () => ({
    clock: await page.textContent('#clock'), remark: await page.textContent('#remark'), badge: await page.textContent('#badge-text'),
    play: await page.textContent('#play'), flown: await page.evaluate(() => [...window.flown.keys()]), kept: kept.length,
  });
  const forget = () => page.evaluate(() => window.flown.clear());
  const go = (seconds) =>
    page.$eval('#bar', (bar, seconds) => {
      bar.value = seconds;
      for (const type of ['input', 'change']) bar.dispatchEvent(new Event(type, { bubbles: true }));
    }, seconds);

  await t.test('plays from the beginning, and stops', async () => {
    assert.deepEqual(await flown(), []);
    await page.click('#play');
    await until('ten danmaku', async () => (await flown()).length >= 10);
    await shoot(page, 'replay-1280');
    await fits(page);
    await page.click('#play');
    const stopped = await flown();
    await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 700)));
    const later = await flown();
    assert.deepEqual(later, stopped);
    const first = kept.map(({ text }) => text).filter(said).slice(0, 3);
    assert.ok(first.every((text) => stopped.includes(text)), `${stopped} without all of ${first}`);
    assert.equal(await page.textContent('#play'), 'Play');
  });

  await t.test('goes ahead without what lies between, and back', async () => {
    await forget();
    await go(4);
    assert.match(await page.textContent('#clock'), /^0:04 /);
    await page.click('#play');
    await until('news', async () => (await flown()).length >= 3);
    const before = new Set(kept.filter(({ at }) => at < 4).map(({ text }) => text));
    assert.deepEqual((await flown()).filter((text) => before.has(text)), []);
    await forget();
    await go(0);
    await until('the beginning', async () => (await flown()).some((text) => before.has(text)), { last: stand });
  });

  await t.test('goes faster', async () => {
    await page.selectOption('#rate', '4');
    const clock = () => page.$eval('#clock', (clock) => Number(clock.value.match(/:(\d+) /)[1]));
    const began = performance.now();
    await until('the end', async () => (await clock()) >= 5);
    assert.ok(performance.now() - began < 4000);
  });

  await t.test('what strangers said does no harm', async () => {
    await harmless(page, census);
    assert.deepEqual(page.faults, []);
  });

  await t.test('a room of which nothing is kept, and a phone', async (t) => {
    const empty = await visit(context, `${url}replay?room=${encodeURIComponent('<b>')}`);
    await until('the remark', async () => (await empty.textContent('#remark')) === 'No danmaku are kept of this room.');
    assert.equal(await empty.textContent('#title'), 'Room <b>');
    assert.deepEqual(empty.faults, []);
    const phone = await visit(await person(t, browser, { viewport: { width: 390, height: 844 } }), `${url}replay`);
    await until('the timeline', () => phone.isEnabled('#play'));
    await phone.click('#play');
    await until('it plays', async () => (await phone.textContent('#remark')) !== '');
    await fits(phone);
    await shoot(phone, 'replay-390');
    assert.deepEqual(phone.faults, []);
  });
});
