import assert from 'node:assert/strict';

const PAUSE = 25; // ms

/**
 * Asks until the answer is truthy, and returns it.
 * @param {string} what for the failure: what did not happen
 * @param {() => unknown} ask
 * @param {{timeout?: number, last?: () => unknown}} [how] last tells how things stand, for the failure
 */
export async function until(what, ask, { timeout = 20_000, last } = {}) {
  for (const end = performance.now() + timeout; ; ) {
    const answer = await ask();
    if (answer) return answer;
    if (performance.now() > end) assert.fail(`not within ${timeout} ms: ${what}${last ? `; ${JSON.stringify(await last())}` : ''}`);
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
}
