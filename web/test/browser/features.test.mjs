// Gifts, paid messages, likes and moderation in examples/liveroom, between a viewer and the host.

import assert from 'node:assert/strict';
import test from 'node:test';
import { launch, person, visit } from './lib/browser.mjs';
import { guard, HOSTILE, shown } from './lib/hostile.mjs';
import { fits, online, quiet, rename, said, shoot } from './lib/liveroom.mjs';
import { watchOverlay } from './lib/overlay.mjs';
import { build, start } from './lib/program.mjs';
import { until } from './lib/wait.mjs';

test('features in examples/liveroom', async (t) => {
  const binary = await build(t, './examples/liveroom');
  const { line } = await start(t, binary, ['-addr', '127.0.0.1:0', '-calm', '-replay', await quiet(t)]);
  const url = line.match(/http:\S+/)[0];
  const browser = await launch(t);
  const contexts = await Promise.all([person(t, browser), person(t, browser, { viewport: { width: 390, height: 844 } })]);
  for (const context of contexts) await guard(context);
  const ann = await visit(contexts[0], url);
  const host = await visit(contexts[1], `${url}?as=host`);
  await Promise.all([online(ann), online(host)]);
  await host.evaluate(watchOverlay);

  const say = async (page, text, kind = 'chat') => {
    await page.check(`input[name=kind][value=${kind}]`, { force: true });
    await page.fill('#text', text);
    await page.press('#text', 'Enter');
  };
  const hears = (page, text) => until(`hears ${text}`, async () => (await said(page)).some((m) => m.text === text));
  const gone = (page, text, timeout = 1000) => until(`${text} is gone`, async () => !(await said(page)).some((m) => m.text === text), { timeout });
  const toast = (page, what) => until(`the toast: ${what}`, async () => (await page.textContent('#toast')).match(what), { last: () => page.textContent('#toast') });
  const more = (page, text) => page.locator('.messages li', { hasText: text }).last().locator('.more');
  const act = async (page, text, label) => {
    await more(page, text).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('menuitem', { name: label, exact: true }).press('Enter');
  };

  await t.test('gifts count up in one banner, for both', async () => {
    await ann.click('#gift');
    const rose = ann.locator('#gifts [data-gift=rose]');
    assert.equal(await rose.getAttribute('aria-label'), 'Give: Rose, 10 coins');
    for (let i = 0; i < 3; i++) await rose.click();
    for (const page of [ann, host]) await until('×3', async () => (await page.$$eval('.banner.rose i', (all) => all.map((e) => e.textContent))).join() === '×3');
    await ann.selectOption('#gift-count', '10');
    await rose.click();
    for (const page of [ann, host]) await until('×13', async () => (await page.$$eval('.banner.rose i', (all) => all.map((e) => e.textContent))).join() === '×13');
    await hears(host, 'gave Rose ×13');
    await shoot(ann, 'gift-1280');
    await shoot(host, 'gift-390');
    await fits(ann);
    await ann.press('#gifts [data-gift=rose]', 'Escape');
    assert.equal(await ann.evaluate(() => document.activeElement.id), 'gift');
  });

  await t.test('a paid message is pinned; a pin goes when its time is over', async () => {
    await ann.click('#pay');
    await ann.fill('#paid-text', HOSTILE.image);
    await shoot(ann, 'paid-1280');
    await fits(ann);
    await ann.press('#paid [type=submit]', 'Enter');
    for (const page of [ann, host]) {
      await until('the card', async () => (await page.textContent('#pins')).includes(HOSTILE.image));
      assert.match(await page.textContent('#pins time'), /^[12] min$/);
    }
    // As the server pins them, but for a shorter time than can be bought.
    const value = { type: 'paid', order: 'short', amount: 9999, currency: 'coin', text: 'short', color: 'red;x', from: { id: 'x', name: HOSTILE.script } };
    await host.evaluate((value) => fetch('/im/send', { method: 'POST', body: JSON.stringify({ op: 'state.set', room: document.documentElement.dataset.room, cid: 'short', body: { key: 'gift.pin.short', value: { ...value, until: Date.now() + 3000 }, ttl_ms: 3000 } }) }), value);
    await until('the short card', async () => (await ann.textContent('#pins')).includes('short'));
    await until('it is over', async () => !(await ann.textContent('#pins')).includes('short'), { timeout: 6000 });
  });

  await t.test('top givers, who is here, and a milestone of likes', async () => {
    await until('the first', () => ann.isVisible('#givers-open'));
    await ann.click('#givers-open');
    await until('the sum', async () => /630 coins/.test(await ann.textContent('#givers ol')), { last: () => ann.textContent('#givers ol') });
    await shoot(ann, 'givers-1280');
    await ann.keyboard.press('Escape');
    await host.click('#here-open');
    await until('both', async () => (await host.locator('#here li').count()) === 2);
    await shoot(host, 'here-390');
    await host.keyboard.press('Escape');
    assert.equal(await host.evaluate(() => document.activeElement.id), 'here-open');
    for (let i = 0; i < 100; i++) await ann.evaluate(() => document.querySelector('#like').click());
    for (const page of [ann, host]) await until('the milestone', async () => (await page.isVisible('#milestone')) && (await page.textContent('#milestone')) === '100 likes!', { timeout: 30_000 });
  });

  await t.test('the host deletes, by the keyboard', async () => {
    await say(ann, 'delete me');
    await say(ann, 'stay');
    await Promise.all([hears(host, 'stay'), hears(ann, 'delete me')]);
    await host.focus('#messages');
    await host.keyboard.press('ArrowUp');
    await host.keyboard.press('ArrowUp');
    await host.keyboard.press('Enter');
    await shoot(host, 'menu-390');
    assert.equal(await host.evaluate(() => document.activeElement.textContent), 'Mute 10 min');
    await host.keyboard.press('Escape');
    assert.match(await host.evaluate(() => document.activeElement.getAttribute('aria-label')), /delete me/);
    await act(host, 'delete me', 'Delete');
    await Promise.all([gone(ann, 'delete me'), gone(host, 'delete me')]);
    await hears(ann, 'stay');
    await say(ann, 'fly away', 'danmaku');
    await hears(host, 'fly away'); // for the host they are in the list as well
    await act(host, 'fly away', 'Delete');
    const flies = (page) => page.evaluate(() => [...document.querySelector('danmaku-layer').shadowRoot.querySelectorAll('.flying > span')].some((e) => e.textContent === 'fly away'));
    for (const page of [ann, host]) await until('it flies no more', async () => !(await flies(page)), { timeout: 1000 });
  });

  await t.test('reports, approval, pins, and why', async () => {
    await say(host, 'odd');
    await hears(ann, 'odd');
    await act(ann, 'odd', 'Report');
    await toast(ann, /Reported/);
    await host.locator('#reports li', { hasText: 'odd (1)' }).waitFor();
    await host.locator('#reports').getByRole('button', { name: 'Dismiss' }).press('Enter');
    await until('no report', () => host.isHidden('#reports'));
    await host.check('#approve');
    await until('approval', () => ann.isChecked('#approve'));
    await say(ann, 'wait for it');
    await host.locator('#queue li', { hasText: 'wait for it' }).getByRole('button', { name: 'Show:' }).press('Enter');
    await hears(ann, 'wait for it');
    await shoot(host, 'panel-390');
    await host.setViewportSize({ width: 1280, height: 900 });
    await shoot(host, 'panel-1280');
    await fits(host);
    await host.setViewportSize({ width: 390, height: 844 });
    await fits(host);
    await host.uncheck('#approve');
    await until('no approval', async () => !(await ann.isChecked('#approve')));
    await act(host, 'wait for it', 'Pin 5 min');
    await until('the pin', async () => (await ann.textContent('#pins')).includes('wait for it'));
    await host.getByRole('button', { name: 'Unpin: wait for it' }).press('Enter');
    await until('no pin', async () => !(await ann.textContent('#pins')).includes('wait for it'));
    await act(host, 'wait for it', 'Why?');
    await until('the decisions', async () => /pass/.test(await host.textContent('#why ol')));
    await shoot(host, 'why-390');
    await host.keyboard.press('Escape');
  });

  await t.test('hostile names do no harm; every control has a name', async () => {
    await rename(ann, HOSTILE.embedded.slice(0, 24));
    await until('the new name', async () => (await ann.textContent('#me-name')) === HOSTILE.embedded.slice(0, 24));
    await until('the room', () => ann.$('#badge[data-status=online]'));
    await until('a gift under it', async () => {
      if (await ann.isHidden('#gifts')) await ann.click('#gift');
      await ann.click('#gifts [data-gift=star]');
      return (await said(host)).some((m) => m.name === shown(HOSTILE.embedded.slice(0, 24)));
    });
    for (const page of [ann, host]) {
      const nameless = await page.$$eval('button, input, select, textarea, [role=menu], dialog', (all) => all.filter((e) => e.checkVisibility()
        && !(e.getAttribute('aria-label') || e.labels?.length || e.textContent.trim() || e.getAttribute('aria-labelledby'))).map((e) => e.outerHTML));
      assert.deepEqual(nameless, []);
      assert.deepEqual(await page.evaluate(() => [window.pwned, window.pwn, window.stopped]), [undefined, undefined, []]);
      assert.deepEqual(page.faults, []);
    }
  });

  await t.test('who is muted is told so', async () => {
    await say(ann, 'mute me');
    await hears(host, 'mute me');
    await act(host, 'mute me', 'Mute 10 min');
    await toast(host, /Done/);
    await say(ann, 'anything');
    await toast(ann, /mute/i);
    await act(host, 'mute me', 'Delete all of this user');
    await gone(ann, 'mute me');
  });
});
