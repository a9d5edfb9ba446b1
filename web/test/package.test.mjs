// The directory as a package: packed, installed without a network, imported by
// Node and read by TypeScript.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { after } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';

const web = fileURLToPath(new URL('..', import.meta.url));
const read = (name) => readFileSync(path.join(web, name), 'utf8');
const manifest = JSON.parse(read('package.json'));
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');

const dir = mkdtempSync(path.join(tmpdir(), 'im-package-'));
after(() => rmSync(dir, { recursive: true }));

function run(command, args, cwd) {
  try {
    return execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    throw new Error(`${command} ${args.join(' ')}\n${error.stdout}\n${error.stderr}`);
  }
}

const install = (cwd, what) => run('npm', ['install', what, '--offline', '--no-audit', '--no-fund', '--ignore-scripts'], cwd);

/** A directory with these files. */
function app(name, files = {}) {
  const at = path.join(dir, name);
  mkdirSync(at, { recursive: true });
  for (const [file, content] of Object.entries({ 'package.json': { private: true, type: 'module' }, ...files })) {
    writeFileSync(path.join(at, file), typeof content === 'string' ? content : JSON.stringify(content));
  }
  return at;
}

const PROGRAM = `
  import { connect, ImError } from 'liveim';
  import { Danmaku } from 'liveim/danmaku';
  import { diagnose } from 'liveim/diagnose';
  const client = connect('https://127.0.0.1:1/im', { env: { WebSocket: class {} } });
  client.close();
  console.log(client.status.error instanceof ImError, typeof Danmaku, typeof diagnose);
`;
const PRINTS = 'true function function\n';

let tarball;

test('what is packed is what the files list says', () => {
  const [packed] = JSON.parse(run('npm', ['pack', '--json', '--pack-destination', dir], web));
  tarball = path.join(dir, packed.filename);
  assert.deepEqual(packed.files.map((f) => f.path).sort(), [...manifest.files, 'README.md', 'package.json'].sort());
});

test('installed from the tarball, without a network', () => {
  const at = app('tarball', { 'main.js': PROGRAM });
  install(at, tarball);
  assert.equal(run('node', ['main.js'], at), PRINTS);
});

test('installed as file: from the directory', () => {
  const at = app('link', { 'main.js': PROGRAM });
  install(at, `file:${web}`);
  assert.match(JSON.parse(readFileSync(path.join(at, 'package.json'), 'utf8')).dependencies.liveim, /^file:/);
  assert.equal(run('node', ['main.js'], at), PRINTS);
});

test('without npm: a file: URL, and the imports map of a package.json', () => {
  const at = app('vendored', {
    'package.json': { private: true, type: 'module', imports: { '#liveim': './im.js' } },
    'im.js': read('im.js'),
    'map.js': `import { connect } from '#liveim'; console.log(typeof connect)`,
    'url.js': `import { connect } from '${pathToFileURL(path.join(web, 'im.js'))}'; console.log(typeof connect)`,
  });
  for (const main of ['map.js', 'url.js']) assert.equal(run('node', [main], at), 'function\n');
});

for (const [moduleResolution, module] of [['bundler', 'esnext'], ['node16', 'node16']]) {
  test(`TypeScript finds the types, moduleResolution ${moduleResolution}`, () => {
    const at = app(moduleResolution, {
      'main.ts': `
        import { connect, ImError, type Room } from 'liveim';
        import { Danmaku, type DanmakuOptions } from 'liveim/danmaku';
        import { diagnose } from 'liveim/diagnose';
        export async function main(): Promise<void> {
          const room: Room<{ text: string }> = await connect('/im').join('42');
          room.on('event', (e) => { const text: string = e.body.text; console.log(text); });
          room.on('left', (e) => console.log(e instanceof ImError));
          // @ts-expect-error it would be any if the types were not found
          connect(42);
          const options: DanmakuOptions = {};
          console.log(new Danmaku(document.body, options), await diagnose('/im'));
        }`,
      'tsconfig.json': { compilerOptions: { strict: true, noEmit: true, target: 'es2022', module, moduleResolution, lib: ['es2022', 'dom', 'dom.iterable'], types: [], skipLibCheck: false } },
    });
    install(at, tarball);
    run('node', [tsc, '--project', at], at);
  });
}

test('the manifest names files that are there, no dependencies, and the newest version of the changelog', () => {
  const targets = Object.values(manifest.exports).flatMap((e) => (typeof e === 'string' ? [e] : Object.values(e)));
  for (const target of targets) assert.ok(read(target), target);
  for (const kind of ['dependencies', 'peerDependencies', 'optionalDependencies', 'scripts']) assert.equal(manifest[kind], undefined, kind);
  const released = /^## \[(\d+\.\d+\.\d+)\]/m.exec(read('../CHANGELOG.md'));
  assert.equal(manifest.version, released?.[1] ?? '0.0.0');
});
