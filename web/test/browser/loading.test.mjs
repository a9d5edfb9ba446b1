// How a page can load im.js in Chromium: from a server, by import maps, from
// file:, as a bundle. web/README.md, Loading, says the same in words.

import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import * as esbuild from 'esbuild';
import { launch, visit } from './lib/browser.mjs';

const source = fileURLToPath(new URL('../../im.js', import.meta.url));

const dir = mkdtempSync(path.join(tmpdir(), 'im-loading-'));
const origins = new Set(); // that asked for the module
let server;
let base;
let bundle; // the module as one ES module and as a classic script

before(async () => {
  const make = async (format) => (await esbuild.build({ entryPoints: [source], bundle: true, minify: true, write: false, format, globalName: 'LiveIM' })).outputFiles[0].text;
  bundle = { esm: await make('esm'), iife: await make('iife') };
  copyFileSync(source, path.join(dir, 'im.js'));
  writeFileSync(path.join(dir, 'im.iife.js'), bundle.iife);
  server = createServer(serve);
  server.on('upgrade', (_, socket) => socket.end('HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${server.address().port}`;
});

after(() => {
  server.closeAllConnections();
  server.close();
  rmSync(dir, { recursive: true });
});

let page = '';

/** A hub that knows nobody, and the site around it. */
function serve(request, response) {
  const files = {
    '/': ['text/html', () => page],
    '/im/client.js': ['text/javascript', () => bundle.esm],
    '/vendor/im.iife.js': ['text/javascript', () => bundle.iife],
  };
  if (request.url === '/im/client.js') origins.add(request.headers.origin);
  const [type, body] = files[request.url] ?? ['application/json', () => '{"op":"error","code":"unauthorized","reason":"sign in"}'];
  response.writeHead(files[request.url] ? 200 : 401, { 'Content-Type': type, 'Access-Control-Allow-Origin': '*' });
  response.end(body());
}

/** Opens HTML from the server or from a file, and returns what it has noted by the time that it is loaded, or undefined. */
async function show(browser, where, html) {
  page = `<!doctype html><body>${html}`;
  const at = path.join(dir, 'page.html');
  if (where === 'file') writeFileSync(at, page);
  const opened = await visit(browser, where === 'file' ? pathToFileURL(at).href : `${base}/`);
  const result = await opened.evaluate(() => document.body.dataset.result);
  await opened.close();
  return result;
}

const NOTE = 'document.body.dataset.result = typeof connect + ", origin " + self.origin';
const module = (from) => `<script type="module">import { connect } from '${from}'; ${NOTE}</script>`;
const mapped = (to) => `<script type="importmap">${JSON.stringify({ imports: { liveim: to } })}</script>${module('liveim')}`;
const classic = (src) => `<script src="${src}"></script><script>{ const { connect } = LiveIM; ${NOTE} }</script>`;
const data = () => mapped(`data:text/javascript,${encodeURIComponent(bundle.esm)}`);

test('a page of a server', async (t) => {
  const browser = await launch(t);
  const ways = { 'a plain script module': module('/im/client.js'), 'an import map': mapped('/im/client.js'), 'an import map to a data: URL': data(), 'a bundle as a classic script': classic('vendor/im.iife.js') };
  for (const [way, html] of Object.entries(ways)) assert.equal(await show(browser, 'http', html), `function, origin ${base}`, way);
});

test('a page from file: by what needs no right to read files', async (t) => {
  const browser = await launch(t);
  const ways = { 'an import map to a server': mapped(`${base}/im/client.js`), 'an import map to a data: URL': data(), 'a bundle as a classic script': classic('im.iife.js') };
  for (const [way, html] of Object.entries(ways)) assert.equal(await show(browser, 'file', html), 'function, origin null', way);
  assert.ok(origins.has('null'), 'a hub gets no other origin from such a page');
});

test('a page from file: by modules from file:, with the right to read files only', async (t) => {
  const usual = await launch(t);
  const allowed = await launch(t, { args: ['--headless', '--no-sandbox', '--disable-gpu', '--allow-file-access-from-files'] });
  const ways = { 'a plain script module': module('./im.js'), 'an import map to a relative path': mapped('./im.js'), 'an import map to a file: URL': mapped(pathToFileURL(path.join(dir, 'im.js')).href) };
  for (const [way, html] of Object.entries(ways)) {
    assert.equal(await show(allowed, 'file', html), 'function, origin file://', way);
    assert.equal(await show(usual, 'file', html), undefined, `${way} works without the flag now: tell web/README.md`);
  }
});

test('a WebSocket that is refused with 401, which the browser does not tell the page', async (t) => {
  page = `<!doctype html><body><script type="module">
    import { connect } from '/im/client.js';
    connect('/im', { transports: ['websocket'], onstatus: (s) => (document.body.dataset.result = s.phase + ' ' + s.error?.message) });
  </script>`;
  const opened = await visit(await launch(t), `${base}/`);
  await opened.waitForFunction(() => document.body.dataset.result?.startsWith('closed'), null, { timeout: 10_000 });
  assert.equal(await opened.evaluate(() => document.body.dataset.result), 'closed unauthorized: sign in');
});
