// A site of its own, at another origin than the hub: the test page with its own copies of the client.

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { once } from 'node:events';

const BROWSER = new URL('../', import.meta.url);
const WEB = new URL('../../../', import.meta.url);
const FILES = {
  '/': [new URL('page/index.html', BROWSER), 'text/html; charset=utf-8'],
  '/page.js': [new URL('page/page.js', BROWSER), 'text/javascript'],
  '/page.css': [new URL('page/page.css', BROWSER), 'text/css'],
  '/im/client.js': [new URL('im.js', WEB), 'text/javascript'],
  '/im/danmaku.js': [new URL('danmaku.js', WEB), 'text/javascript'],
  '/im/diagnose.js': [new URL('diagnose.js', WEB), 'text/javascript'],
};

/** @returns the origin, for the time of the test */
export async function foreignSite(t) {
  const server = createServer(async ({ url }, response) => {
    const [file, type] = FILES[url] ?? [];
    if (!file) return response.writeHead(404).end();
    response.writeHead(200, { 'Content-Type': type }).end(await readFile(file));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}`;
}
