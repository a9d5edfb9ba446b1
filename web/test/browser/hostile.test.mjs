// What strangers write is shown as text, whatever it is and wherever they put it.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';
import { launch, person, visit } from './lib/browser.mjs';
import { guard, harmless, HOSTILE, leaky, shown } from './lib/hostile.mjs';
import { hubs } from './lib/hub.mjs';
import { watchOverlay } from './lib/overlay.mjs';
import { REPOSITORY } from './lib/program.mjs';
import { enter, WAYS } from './lib/viewer.mjs';
import { until } from './lib/wait.mjs';

const LIVEROOM = join(REPOSITORY, 'examples/liveroom/web');
const room = '42';

test('hostile text', async (t) => {
  const newHub = await hubs(t);
  const browser = await launch(t);

  for (const way of WAYS) {
    await t.test(`it arrives as it was sent, and flies as text: ${way.name}`, async (t) => {
      const hub = await newHub(t, { tls: way.tls });
      const names = Object.values(HOSTILE);
      const users = [0, 1].map((i) => ({ id: `${names[i]} ${i}`, name: names[i], roles: ['host'] }));
      const [ann, ben] = await Promise.all(users.map((user) => enter(t, browser, hub.url, { room, user, transports: way.transports })));
      for (const text of names) {
        await ann.page.evaluate((text) => {
          const { room } = window.bed;
          return Promise.all([
            room.send('danmaku', { text }),
            room.send('chat', { text }),
            room.state.set('title', text),
          ]);
        }, text);
        await hub.say(room, 'gift', { gift: text }, { id: text, name: text });
        await ben.is(`the state ${text}`, (text) => window.bed.room.state.get('title') === text, { arg: text });
        await ben.is(`the gift ${text}`, (text) => window.bed.kept.some(({ kind, body }) => kind === 'gift' && body.gift === text), { arg: text });
        await ben.is(`the chat ${text}`, (text) => window.bed.kept.some(({ kind, body }) => kind === 'chat' && body.text === text), { arg: text });
        await ben.is(`${text} flies`, (text) => window.bed.sightings[text], { arg: shown(text) });
      }
      const listed = await ben.page.$$eval('#list bdi', (parts) => parts.map((e) => e.textContent));
      for (const text of names) assert.ok(listed.includes(text));
      assert.ok(listed.includes(users[0].name));
      assert.deepEqual(await ben.page.evaluate(() => [window.pwned, window.violations]), [undefined, []]);
      assert.deepEqual(await ben.page.evaluate(() => [...document.querySelector('danmaku-layer').shadowRoot.querySelectorAll('.flying > span')].filter((e) => getComputedStyle(e).unicodeBidi !== 'isolate').length), 0);
      assert.deepEqual(ben.page.faults, []);
    });
  }

  await t.test('the page of examples/liveroom shows it as text: names, danmaku, chat, gifts, notices, state', async (t) => {
    const hub = await newHub(t, { root: LIVEROOM });
    for (const [kind, own] of Object.entries(HOSTILE)) {
      const user = { id: 'me', name: own };
      const context = await person(t, browser);
      await guard(context);
      await context.addCookies([{ name: 'user', value: Buffer.from(JSON.stringify(user)).toString('base64url'), url: hub.url }]);
      // In place of its own server, which makes names shorter and cleaner than another one may.
      await context.route('**/guest', (route) => route.fulfill({ json: user }));
      const page = await visit(context, hub.url);
      await until('connected', () => page.$('#badge[data-status=online]'));
      const census = await page.evaluate(() => window.census());
      await page.evaluate(watchOverlay);
      await hear(hub, page, HOSTILE[kind]);
      assert.equal(await page.textContent('#me-name'), own);
      await harmless(page, census);
      assert.deepEqual(await leaky(page, '.messages b, .messages li > span, .banner b, .banner span, #title, #me-name'), [], kind);
      await context.close();
    }
  });

  await t.test('what is written from right to left moves nothing beside it', async (t) => {
    const hub = await newHub(t, { root: LIVEROOM });
    const user = { id: 'me', name: 'Me' };
    const context = await person(t, browser);
    await context.addCookies([{ name: 'user', value: Buffer.from(JSON.stringify(user)).toString('base64url'), url: hub.url }]);
    await context.route('**/guest', (route) => route.fulfill({ json: user }));
    const page = await visit(context, hub.url);
    await until('connected', () => page.$('#badge[data-status=online]'));
    await hub.say(room, 'chat', { text: '123 שלום 4' }, { id: 'r', name: 'שלום' });
    await until('the message', () => page.$('.messages b'));
    const [name, text] = await page.$$eval('.messages li:has(b) > :not(.avatar)', (parts) => parts.map((e) => e.getBoundingClientRect().toJSON()));
    assert.ok(name.right <= text.left, `the name ends at ${name.right}, the text begins at ${text.left}`);
  });
});

/** Has somebody of that name say it in every way, and waits until it is seen. */
async function hear(hub, page, text) {
  const as = { id: `${text} `, name: text };
  await hub.say(room, 'danmaku', { text, color: text, mode: text, size: text }, as);
  await hub.say(room, 'chat', { text }, as);
  await hub.say(room, 'gift', { type: 'gift', order: text, gift: 'rose', name: text, effect: text, count: 1, amount: 10, currency: text }, as);
  await hub.say(room, 'gift', { type: 'paid', order: `${text}-paid`, text, color: text, amount: 10, currency: text }, as);
  await hub.say(room, 'gift', { type: text, gift: text, text }, as); // an unknown one
  await hub.say(room, 'like', { n: text }, as).catch(() => {}); // no number: the hub refuses it
  await hub.say(room, 'notice', { text });
  await hub.set(room, 'title', text);
  const name = shown(text, 24);
  const line = (selector) => page.$$eval(selector, (all) => all.map((e) => e.textContent));
  await until(`the chat ${text}`, async () => (await line('.messages li:has(b) > span:not(.avatar)')).includes(shown(text)));
  assert.ok((await line('.messages b')).includes(name));
  await until(`the notice ${text}`, async () => (await line('.messages .notice')).includes(shown(text)));
  await until(`the banner ${text}`, async () => (await line('.banner b')).includes(name));
  await until(`the title ${text}`, async () => (await page.textContent('#title')) === shown(text));
  assert.equal(await page.title(), shown(text));
  await until(`the danmaku ${text}`, () => page.evaluate((text) => window.flown.has(text), shown(text)));
}
