// Real browsers: processes of their own, each with a fresh profile.

import assert from 'node:assert/strict';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { chromium } from 'playwright-core';

const ARGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync',
];

/** Where Chromium is. A machine without it fails the tests: they would prove nothing. */
function executable() {
  const inPath = (name) => (process.env.PATH ?? '').split(delimiter).map((dir) => join(dir, name));
  const places = process.env.CHROMIUM
    ? [process.env.CHROMIUM]
    : ['/usr/bin/chromium', ...['chromium', 'chromium-browser', 'google-chrome'].flatMap(inPath)];
  const found = places.find((place) => {
    try {
      accessSync(place, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
  assert.ok(found, `no Chromium: install the package chromium, or name one in CHROMIUM (looked for ${places.join(', ')})`);
  return found;
}

/**
 * Starts a browser that ends with the test. Its profile is a new directory, which goes with it.
 * @param {import('node:test').TestContext} t
 * @param {{args?: string[]}} [options] args come on top of the usual ones
 * @returns {Promise<import('playwright-core').Browser>}
 */
export async function launch(t, { args = [] } = {}) {
  const browser = await chromium.launch({ executablePath: executable(), args: [...ARGS, ...args] });
  t.after(() => browser.close());
  return browser;
}

/** A person at the browser: with cookies, storage and a network of their own. */
export async function person(t, browser, options) {
  const context = await browser.newContext({
    ignoreHTTPSErrors: true, // the certificate is the test's own
    viewport: { width: 1280, height: 900 },
    locale: 'en-US',
    ...options,
  });
  t.after(() => context.close());
  return context;
}

/**
 * Opens a page in which nothing may go wrong in silence: `faults` gathers errors and dialogs.
 * @param {import('playwright-core').BrowserContext | import('playwright-core').Browser} context
 */
export async function visit(context, url) {
  const page = await context.newPage();
  page.faults = [];
  page.on('pageerror', (error) => page.faults.push(String(error)));
  page.on('dialog', (dialog) => {
    page.faults.push(`dialog: ${dialog.message()}`);
    dialog.dismiss().catch(() => {}); // the page may be closing
  });
  await page.goto(url);
  return page;
}
