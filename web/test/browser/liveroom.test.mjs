// The example as a visitor runs it: two browsers, a danmaku from one on the other's picture, hostile input by the page's own
// fields. And what the pages look like, in SHOTS.

import assert from 'node:assert/strict';
import test from 'node:test';
import { launch, person, visit } from './lib/browser.mjs';
import { guard, harmless, HOSTILE, leaky, shown } from './lib/hostile.mjs';
import { fits, online, quiet, rename, said, shoot } from './lib/liveroom.mjs';
import { watchOverlay } from './lib/overlay.mjs';
import { build, start } from './lib/program.mjs';
import { until } from './lib/wait.mjs';

test('examples/liveroom', async (t) => {
  const binary = await build(t, './examples/liveroom');
  const liveroom = async (t, ...args) => {
    const { line } = await start(t, binary, ['-addr', '127.0.0.1:0', '-calm', ...args]);
    return line.match(/http:\S+/)[0];
  };
  const browsers = [await launch(t), await launch(t)];

  await t.test('two visitors', async (t) => {
    const url = await liveroom(t, '-replay', await quiet(t));
    const contexts = await Promise.all(browsers.map((browser) => person(t, browser)));
    for (const context of contexts) await guard(context);
    const [ann, ben] = await Promise.all(contexts.map((context) => visit(context, url)));
    for (const page of [ann, ben]) {
      await online(page);
      await page.evaluate(watchOverlay);
    }
    const census = await ben.evaluate(() => window.census());

    await t.test('what one types flies over the picture of the other', async (t) => {
      const times = [];
      for (let i = 0; i < 20; i++) {
        await ann.fill('#text', `typed ${i}`);
        const sent = await ann.evaluate(() => {
          const at = performance.timeOrigin + performance.now();
          document.querySelector('#send').click();
          return at;
        });
        await until(`danmaku ${i}`, () => ben.evaluate((text) => window.flown.has(text), `typed ${i}`));
        times.push((await ben.evaluate((text) => window.flown.get(text), `typed ${i}`)) - sent);
      }
      times.sort((a, b) => a - b);
      t.diagnostic(`median ${times[10].toFixed(1)} ms, most ${times.at(-1).toFixed(1)} ms`);
      assert.ok(times[10] <= 100, `the median is ${times[10]} ms`);
    });

    await t.test('hostile text and names by the fields of the page', async () => {
      for (const [i, text] of Object.values(HOSTILE).entries()) {
        for (const kind of ['danmaku', 'chat']) {
          await ann.check(`input[name=kind][value=${kind}]`, { force: true }); // the label is what is seen
          await ann.fill('#text', text);
          await ann.press('#text', 'Enter');
        }
        for (const page of [ann, ben]) {
          await until(`${text} flies`, () => page.evaluate((text) => window.flown.has(text), shown(text)));
          await until(`${text} is said`, async () => (await said(page)).at(-1)?.text === shown(text));
          assert.equal((await said(page)).length, i + 1);
        }
      }
      for (const name of ['<script>pwned=1</script>', '<img src onerror=pwn=1>']) {
        await rename(ann, name);
        await until('the new name', async () => (await ann.textContent('#me-name')) === name);
        await until('the room', () => ann.evaluate(() => document.querySelector('#badge').dataset.status === 'online'));
        await until(`said as ${name}`, async () => {
          await ann.fill('#text', `I am ${name}`);
          await ann.press('#text', 'Enter');
          return (await said(ben)).some((m) => m.name === name && m.text === `I am ${name}`);
        });
      }
      for (const page of [ann, ben]) {
        await harmless(page, census);
        assert.deepEqual(await leaky(page, '.messages b, .messages li > span, #title, #me-name'), []);
      }
      await rename(ann, 'x\u202Ey');
      await until('the refusal', () => ann.isVisible('#toast'));
      assert.equal(await ann.textContent('#me-name'), '<img src onerror=pwn=1>');
    });
  });

  await t.test('forced transports', async (t) => {
    const url = await liveroom(t, '-replay', await quiet(t));
    const context = await person(t, browsers[0]);
    for (const [transport, words] of [['websocket', 'WebSocket'], ['sse', 'SSE'], ['poll', 'Long-poll']]) {
      const page = await visit(context, `${url}?transport=${transport}`);
      await until(words, async () => (await page.textContent('#badge-way')).startsWith(words));
      assert.deepEqual(page.faults, []);
      await page.close();
    }
  });

  await t.test('a crowd, on a desktop and on a phone; the doctor finds all ways free', async (t) => {
    const url = await liveroom(t, '-crowd', '40', '-speed', '2');
    for (const [width, height] of [[1280, 800], [390, 844]]) {
      const context = await person(t, browsers[0], { viewport: { width, height } });
      const page = await visit(context, url);
      await online(page);
      const crowded = () => document.querySelectorAll('.messages li').length > 12 && document.querySelector('danmaku-layer').shadowRoot.querySelectorAll('.flying').length > 5;
      await until('a crowd', () => page.evaluate(crowded), { timeout: 30_000 });
      await fits(page);
      await shoot(page, `liveroom-${width}`);
      await page.click('#gift');
      await page.click('#gifts [data-gift=crown]');
      await until('the banner', () => page.$('.banner.crown'));
      await fits(page);
      await shoot(page, `liveroom-gifts-${width}`);
      assert.deepEqual(page.faults, []);

      const doctor = await visit(context, `${url}im/doctor`);
      await until('the report', () => doctor.isEnabled('#copy'));
      const states = await doctor.$$eval('.check', (rows) => rows.map((row) => `${row.id} ${row.dataset.state}`));
      assert.deepEqual(states.filter((s) => s.endsWith(' fail') || s.endsWith(' skip')), []);
      await fits(doctor);
      await shoot(doctor, `doctor-${width}`, true);
      assert.deepEqual(doctor.faults, []);
    }
  });
});
