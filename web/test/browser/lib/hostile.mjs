// What somebody may write to do harm, and what tells whether it did.

import assert from 'node:assert/strict';

export const HOSTILE = {
  script: '<script>window.pwned=1</script>',
  image: '<img src=x onerror="window.pwned=1">',
  override: 'left \u202Eright\u202C left', // RIGHT-TO-LEFT OVERRIDE
  embedded: '"><svg onload=window.pwned=1>&lt;b&gt;',
  hebrew: 'שלום 1 (2)', // moves the numbers beside it if nothing keeps it from that
};

/** As the pages show it: without what is invisible. */
export const shown = (text, limit = 100) => {
  const visible = [...text.replace(/[\u202A-\u202E\u2066-\u2069]/g, '')];
  return visible.length > limit ? `${visible.slice(0, limit).join('')}…` : visible.join('');
};

/** Before a page of the context is opened: notes what the content policy has stopped, and how many elements of a kind there are. */
export const guard = (context) =>
  context.addInitScript(() => {
    window.stopped = [];
    document.addEventListener('securitypolicyviolation', (e) => window.stopped.push(`${e.effectiveDirective} ${e.blockedURI}`));
    const dangerous = 'script, img, svg, iframe, object, embed, link, style, base, form, a, [onerror], [onload]';
    window.census = () => [...document.querySelectorAll(dangerous)].filter((e) => !e.closest('.gift, .gifts, .banner')).length; // gifts have pictures
  });

/** Nothing of it became more than text. */
export async function harmless(page, census) {
  const found = await page.evaluate(() => [window.pwned, window.pwn, window.stopped, window.census()]);
  assert.deepEqual(found, [undefined, undefined, [], census]);
  assert.deepEqual(page.faults, []);
}

/** The text of an element cannot change the order of what stands beside it: in the page, finds elements for which that is not so. */
export const leaky = (page, selector) =>
  page.evaluate((selector) => {
    const kept = (e) => {
      const { unicodeBidi, display } = getComputedStyle(e);
      return ['isolate', 'isolate-override', 'plaintext'].includes(unicodeBidi) || !display.startsWith('inline') || display === 'inline-block';
    };
    return [...document.querySelectorAll(selector)].filter((e) => !kept(e)).map((e) => e.outerHTML);
  }, selector);
