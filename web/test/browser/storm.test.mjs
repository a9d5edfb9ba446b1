// What the example shows of the flow control: a storm, and the modes that a host sets.

import assert from 'node:assert/strict';
import test from 'node:test';
import { launch, person, visit } from './lib/browser.mjs';
import { fits, online, quiet, said, shoot } from './lib/liveroom.mjs';
import { watchOverlay } from './lib/overlay.mjs';
import { build, start } from './lib/program.mjs';
import { until } from './lib/wait.mjs';

test('flow control in examples/liveroom', async (t) => {
  const binary = await build(t, './examples/liveroom');
  const { line } = await start(t, binary, ['-addr', '127.0.0.1:0', '-calm', '-replay', await quiet(t)]);
  const url = line.match(/http:\S+/)[0];
  const browser = await launch(t);
  const [ann, host] = await Promise.all([
    person(t, browser).then((context) => visit(context, url)),
    person(t, browser, { viewport: { width: 390, height: 844 } }).then((context) => visit(context, `${url}?as=host`)),
  ]);
  await Promise.all([online(ann), online(host)]);
  const number = async (page, id) => Number((await page.textContent(id)).replace(/[^\d]/g, ''));
  const pictures = async (page, name) => {
    for (const colorScheme of ['dark', 'light']) {
      await page.emulateMedia({ colorScheme });
      await shoot(page, `${name}-${colorScheme}`);
    }
  };

  await t.test('who comes in is told', async (t) => {
    const late = await person(t, browser).then((context) => visit(context, url));
    await online(late);
    const me = await late.textContent('#me-name');
    await until('the line', async () => (await ann.textContent('#came')).includes(me));
  });

  await t.test('a storm: much is said, as much is shown as can be read, the rest is counted', async (t) => {
    await ann.evaluate(watchStorm);
    await ann.click('#storm');
    await until('the storm is seen', () => ann.evaluate(() => document.querySelector('#player').classList.contains('stormy')));
    await until('something is left out', async () => (await number(ann, '#stat-shed')) > 100);
    await until('something is merged', async () => (await number(ann, '#stat-merged')) > 20);
    await until('a badge', () => ann.evaluate(() => window.storm.badges > 0));
    for (const page of [ann, host]) {
      await until('the storm is told in words', async () => (await page.textContent('#stormy')).match(/^Storm: \d+ of \d\d\d+ a second, [\d,]+ left out/));
    }
    const { width } = host.viewportSize();
    const { x, width: wide } = await host.locator('#stormy').boundingBox();
    assert.ok(x + wide <= width, `the words end at ${x + wide} px`);
    await pictures(ann, 'storm-1280');
    await pictures(host, 'storm-390');
    await until('the calm after it', () => ann.evaluate(() => !document.querySelector('#player').classList.contains('stormy')), { timeout: 30_000 });
    const { most, all, gap, badges } = await ann.evaluate(() => window.storm.result());
    t.diagnostic(`${all} danmaku, at most ${most} new ones in a second, ${badges} badges at a time, 95 % of frames within ${gap.toFixed(1)} ms`);
    assert.ok(most <= 55, `${most} danmaku came up within a second`); // 50 by the hub's clock; they come in flushes
    await ann.click('#storm');
    await until('the refusal of a second storm', () => ann.isVisible('#toast'));
    assert.equal(await ann.isHidden('#stormy'), true);
    assert.deepEqual(ann.faults, []);
  });

  const say = async (page, text, kind = 'chat') => {
    await page.check(`input[name=kind][value=${kind}]`, { force: true });
    await until('a message may be sent', async () => {
      await page.fill('#text', text);
      return page.isEnabled('#send');
    });
    await page.press('#text', 'Enter');
  };
  const toast = (page, what) => until(`the toast: ${what}`, async () => (await page.textContent('#toast')).match(what));
  const chips = (page, what) => until(`the chips: ${what}`, async () => ((await page.isVisible('#chips')) ? await page.textContent('#chips') : '').match(what));
  const hears = (page, text) => until(`hears ${text}`, async () => (await said(page)).some((m) => m.text === text));

  await t.test('own danmaku are shown whatever becomes of them, and look it', async () => {
    await host.evaluate(watchOverlay);
    const modes = { op: 'modes.set', room: await host.evaluate(() => document.documentElement.dataset.room), cid: 'budget', body: { budget: 1 } };
    const { status } = await host.evaluate((m) => fetch('/im/send', { method: 'POST', body: JSON.stringify(m) }).then(({ status }) => ({ status })), modes);
    assert.equal(status, 200);
    await chips(ann, /1 a second/);
    const all = ['own same', 'own same', 'own 1', 'own 2', 'own 3', 'own 4'];
    await ann.check('input[name=kind][value=danmaku]', { force: true });
    await ann.evaluate((texts) => {
      const form = document.querySelector('#composer');
      for (const text of texts) {
        form.elements.text.value = text;
        form.requestSubmit();
      }
    }, all);
    const looks = () => ann.evaluate(() => [...document.querySelector('danmaku-layer').shadowRoot.querySelectorAll('.flying.own')].map((e) => ({
      text: e.querySelector('span').textContent, badge: e.querySelector('b').textContent, faint: e.matches('.faint') && Number(getComputedStyle(e).opacity) < 1,
    })));
    await until('all of them', async () => (await looks()).length === all.length);
    const seen = await until('their fates', async () => {
      const now = await looks();
      return now.filter((e) => e.faint).length >= 2 && now.some((e) => /^(\+1|×2)$/.test(e.badge)) && now;
    }, { last: looks });
    await shoot(ann, 'own-1280');
    for (const { text } of seen.filter((e) => e.faint)) assert.equal(await host.evaluate((t) => window.flown.has(t), text), false, text);
    assert.ok(seen.some((e) => !e.faint && e.text === 'own same'));

    // What the form has no field for stays when it changes something else.
    await host.check('[name=unique]');
    await chips(ann, /No repeats.*1 a second/);
    await say(ann, 'own twice', 'danmaku');
    await say(ann, 'own twice!', 'danmaku');
    await toast(ann, /just said this/);
    const texts = (await looks()).map((e) => e.text);
    assert.deepEqual([texts.includes('own twice'), texts.includes('own twice!')], [true, false]);
    assert.equal(await ann.inputValue('#text'), 'own twice!'); // to be changed and sent again
    await host.evaluate((m) => fetch('/im/send', { method: 'POST', body: JSON.stringify({ ...m, cid: 'none', body: {} }) }), modes);
    await chips(ann, /^$/);
  });

  await t.test('emoji only', async () => {
    await host.check('[name=emoji]');
    await chips(ann, /Emoji only/);
    await say(ann, 'words');
    await toast(ann, /emoji/);
    await say(ann, '👍🏽🎉');
    await hears(host, '👍🏽🎉');
    await host.uncheck('[name=emoji]');
    await chips(ann, /^$/);
  });

  await t.test('slow mode counts down', async () => {
    await host.selectOption('[name=slow]', '3');
    await chips(ann, /Slow mode: 3 s/);
    await say(ann, 'one');
    await hears(host, 'one');
    await until('the countdown', async () => (await ann.textContent('#send')).match(/^[123] s$/));
    assert.match(await ann.getAttribute('#send', 'aria-label'), /^Send, in [123] s$/);
    assert.equal(await ann.isDisabled('#send'), true);
    await say(ann, 'two'); // waits until the button lets it
    await hears(host, 'two');
    await host.selectOption('[name=slow]', '0');
  });

  await t.test('the host looks first', async () => {
    await host.check('[name=delay]');
    await chips(ann, /Shown after/);
    await say(ann, 'let me through');
    await toast(ann, /moderator/);
    const entry = (text) => host.locator('#queue li', { hasText: text });
    await entry('let me through').waitFor();
    await until('how long it waits', async () => /^[1-8] s$/.test(await entry('let me through').locator('time').textContent()));
    await fits(host);
    await pictures(host, 'queue-390');
    await host.setViewportSize({ width: 1280, height: 900 });
    await pictures(host, 'queue-1280');
    await host.setViewportSize({ width: 390, height: 844 });
    assert.equal((await said(host)).some((m) => m.text === 'let me through'), false);
    await entry('let me through').getByRole('button', { name: 'Show:' }).press('Enter');
    await hears(ann, 'let me through');
    await say(ann, 'not this');
    await entry('not this').getByText('Drop').click();
    await toast(ann, /did not let this through/);
    await until('the queue is empty', () => host.isHidden('#queue'));
    assert.equal(await host.evaluate(() => document.activeElement.name), 'delay'); // the keyboard is not lost with the entry
    await host.uncheck('[name=delay]');
  });

  await t.test('stopped for a minute', async () => {
    await host.selectOption('[name=until]', '1');
    await host.check('[name=stopped]');
    await chips(ann, /Stopped.*left/);
    await say(ann, 'hello?');
    await toast(ann, /stopped/);
    await host.uncheck('[name=stopped]');
    await say(ann, 'hello!');
    await hears(host, 'hello!');
    assert.deepEqual([...ann.faults, ...host.faults], []);
  });
});

/** In the page: counts in window.storm what comes up, and how smooth the page is. Elements are used again and again. */
function watchStorm() {
  const times = [];
  const gaps = [];
  const storm = (window.storm = { badges: 0 });
  const root = document.querySelector('danmaku-layer').shadowRoot;
  const flies = (looks) => / flying\b/.test(looks);
  new MutationObserver((changes) => {
    for (const { target, oldValue, attributeName } of changes) {
      if (attributeName && flies(target.className) && !flies(oldValue)) times.push(performance.now());
    }
    storm.badges = Math.max(storm.badges, [...root.querySelectorAll('.flying > b')].filter((b) => b.textContent.startsWith('×')).length);
  }).observe(root, { subtree: true, childList: true, characterData: true, attributes: true, attributeOldValue: true, attributeFilter: ['class'] });
  let last = performance.now();
  const frame = (now) => {
    gaps.push(now - last);
    last = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  storm.result = () => {
    let most = 0;
    for (let first = 0, i = 0; i < times.length; i++) {
      while (times[i] - times[first] >= 1000) first++;
      most = Math.max(most, i - first + 1);
    }
    gaps.sort((a, b) => a - b);
    return { most, all: times.length, badges: storm.badges, gap: gaps[Math.floor(gaps.length * 0.95)] };
  };
}
