// The overlay in a real browser: what a hub says later of a comment changes it in place.

import assert from 'node:assert/strict';
import test from 'node:test';
import { launch, person, visit } from './lib/browser.mjs';
import { hubs } from './lib/hub.mjs';
import { until } from './lib/wait.mjs';

test('what becomes of a comment on the overlay', async (t) => {
  const hub = await (await hubs(t))(t);
  const browser = await launch(t);
  const stage = async (options) => {
    const page = await visit(await person(t, browser, options), hub.url);
    await page.waitForFunction(() => window.bed);
    return page;
  };
  const show = async (page, comment) => {
    await page.evaluate((c) => void window.bed.layer.show(c), comment);
    await until(`${comment.id} flies`, () => look(page, comment.text));
  };
  const update = (page, id, change) => page.evaluate(([i, c]) => window.bed.layer.update(i, c), [id, change]);
  const look = (page, text) =>
    page.evaluate((text) => {
      const element = [...document.querySelector('danmaku-layer').shadowRoot.querySelectorAll('.flying')].find((e) => e.querySelector('span').textContent === text);
      if (!element) return null;
      const badge = element.querySelector('b');
      const pulses = badge.getAnimations().length;
      return { badge: badge.textContent, pulses, nodes: element.querySelectorAll('*').length, width: element.offsetWidth, look: element.className, part: element.getAttribute('part') };
    }, text);

  await t.test('a count grows in place, as text, with a pulse', async () => {
    const page = await stage();
    await show(page, { text: '666', id: 'e-1' });
    const before = await look(page, '666');
    assert.deepEqual([before.badge, before.nodes], ['', 2]);
    const pulse = await page.evaluate(() => {
      const done = window.bed.layer.update('e-1', { count: 7 });
      const badge = [...document.querySelector('danmaku-layer').shadowRoot.querySelectorAll('.flying b')].find((b) => b.textContent);
      return { done, pulses: badge.getAnimations().length };
    });
    assert.deepEqual(pulse, { done: true, pulses: 1 });
    assert.deepEqual(['×7', 2], [(await look(page, '666')).badge, (await look(page, '666')).nodes]);
    for (const [count, badge] of [[7, '×7'], [1200, '×999+'], ['<b>9', ''], [NaN, ''], [3.7, '×3'], [undefined, '×3']]) {
      assert.equal(await update(page, 'e-1', { count }), true);
      assert.equal((await look(page, '666')).badge, badge, `${count}`);
    }
    assert.equal(await update(page, 'e-1', { count: 1 }), true);
    assert.equal((await look(page, '666')).badge, '');
    assert.deepEqual(page.faults, []);
  });

  await t.test('what the hub answers is seen: +1, or fainter', async () => {
    const page = await stage();
    for (const id of ['merged', 'shed', 'held', 'ok', '<img src=x>']) await show(page, { text: `mine ${id}`, id, own: true });
    for (const id of ['merged', 'shed', 'held', 'ok', '<img src=x>']) await update(page, id, { status: id });
    const seen = async (id) => {
      const { badge, look: looks, part, nodes } = await look(page, `mine ${id}`);
      return { badge, faint: looks.includes('faint'), part, nodes };
    };
    assert.deepEqual(await seen('merged'), { badge: '+1', faint: false, part: 'comment own', nodes: 2 });
    for (const id of ['shed', 'held']) assert.deepEqual(await seen(id), { badge: '', faint: true, part: 'comment own faint', nodes: 2 });
    for (const id of ['ok', '<img src=x>']) assert.deepEqual(await seen(id), { badge: '', faint: false, part: 'comment own', nodes: 2 });
    await update(page, 'held', { status: 'ok' });
    assert.equal((await seen('held')).faint, false);
    await update(page, 'merged', { count: 4 });
    assert.equal((await seen('merged')).badge, '×4'); // says more
    assert.deepEqual(page.faults, []);
  });

  await t.test('a comment that has landed is not changed, and its node is clean for the next one', async () => {
    const page = await stage();
    await show(page, { text: 'gone', id: 'e-1', own: true, count: 5, status: 'shed' });
    assert.match((await look(page, 'gone')).look, /faint/);
    assert.equal(await page.evaluate(() => window.bed.layer.remove('e-1')), true);
    assert.equal(await update(page, 'e-1', { count: 9 }), false);
    assert.equal(await update(page, 'never', { count: 9 }), false);
    await show(page, { text: 'next', id: 'e-2' });
    const next = await look(page, 'next');
    assert.deepEqual([next.badge, next.look, next.part], ['', 'comment flying', 'comment']);
    assert.equal(await update(page, 'e-2', { status: 'merged' }), true);
    assert.equal((await look(page, 'next')).badge, '+1');
  });

  await t.test('no pulse where motion is unwanted', async () => {
    const page = await stage({ reducedMotion: 'reduce' });
    await show(page, { text: '666', id: 'e-1' });
    const pulses = await page.evaluate(() => {
      window.bed.layer.update('e-1', { count: 7 });
      return [...document.querySelector('danmaku-layer').shadowRoot.querySelectorAll('b')].flatMap((b) => b.getAnimations()).length;
    });
    assert.equal(pulses, 0);
    assert.equal((await look(page, '666')).badge, '×7');
  });
});
