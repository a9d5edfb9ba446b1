// The pages of examples/liveroom, as tests see them.

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from './wait.mjs';

/** A recording in which nobody says anything for an hour. */
export async function quiet(t) {
  const dir = await mkdtemp(join(tmpdir(), 'im-recording-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const file = join(dir, 'quiet.jsonl');
  await writeFile(file, '{"t":3600,"text":"an hour later"}\n');
  return file;
}

export const online = (page) => until('connected', () => page.$('#badge[data-status=online]'));

/** What is in the list of messages. */
export const said = (page) =>
  page.$$eval('.messages li:has(b)', (all) =>
    all.map((e) => ({ name: e.querySelector('b').textContent, text: e.querySelector(':scope > span:not(.avatar)').textContent })),
  );

export async function rename(page, name) {
  await page.click('#me');
  await page.fill('#rename-name', name);
  await page.press('#rename-name', 'Enter');
}

/** Nothing of the page is wider than the window, and nothing that is to be pressed too small for that. */
export async function fits(page) {
  const small = await page.$$eval('button, .colors label, .kinds label', (all) =>
    all.filter((e) => e.checkVisibility() && (e.offsetWidth < 24 || e.offsetHeight < 24)).map((e) => `${e.outerHTML} ${e.offsetWidth}×${e.offsetHeight}`),
  );
  assert.deepEqual(small, []);
  const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  assert.ok(content <= window, `the page is ${content} px wide, in a window of ${window} px`);
}

/** Takes a picture, if SHOTS names a directory for that. */
export async function shoot(page, name, fullPage = false) {
  if (!process.env.SHOTS) return;
  await mkdir(process.env.SHOTS, { recursive: true });
  await page.screenshot({ path: join(process.env.SHOTS, `${name}.png`), fullPage });
}
