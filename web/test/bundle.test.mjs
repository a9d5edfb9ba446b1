// What bundlers make of the browser files: how large it is, that it needs
// nothing else, and that it runs.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { after } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { rollup } from '@rollup/wasm-node';
import * as esbuild from 'esbuild';
import ts from 'typescript';
import { Clock, Server, WELCOME, settle } from './fakes.mjs';

const web = fileURLToPath(new URL('..', import.meta.url));
const file = (name) => path.join(web, name);
const MODULES = ['im', 'danmaku', 'features', 'diagnose'];

const dir = mkdtempSync(path.join(tmpdir(), 'im-bundle-'));
after(() => rmSync(dir, { recursive: true }));

async function build(name, options) {
  const result = await esbuild.build({ entryPoints: [file(`${name}.js`)], bundle: true, write: false, target: 'es2022', logLevel: 'silent', ...options });
  assert.deepEqual([result.errors, result.warnings], [[], []]);
  return { code: result.outputFiles[0].text, result };
}

// ---------------------------------------------------------------- size

/** Bytes, minified and compressed by gzip as servers do it. */
const BOUNDS = { im: 12 << 10, danmaku: 6 << 10, features: 4 << 10, diagnose: 13 << 10 };

for (const name of MODULES) {
  test(`${name}.js is under ${BOUNDS[name]} bytes, minified and compressed`, async (t) => {
    const { code } = await build(name, { format: 'esm', minify: true });
    const gzip = gzipSync(code).length;
    const source = readFileSync(file(`${name}.js`));
    const as = (what, n) => `${n} bytes ${what}`;
    t.diagnostic([as('gzip', gzip), as('brotli', brotliCompressSync(code).length), as('minified', Buffer.byteLength(code)), as('as served', source.length), as('as served, gzip', gzipSync(source).length)].join(', '));
    assert.ok(gzip < BOUNDS[name], `${gzip} bytes`);
  });
}

test('a bundle holds nothing that it does not use', async () => {
  const stdin = { contents: `import { connect } from 'liveim'; import { Danmaku } from 'liveim/danmaku'; console.log(1)`, resolveDir: dir };
  const { code } = await build('', { entryPoints: undefined, stdin, format: 'esm', minify: true, alias: { liveim: file('im.js'), 'liveim/danmaku': file('danmaku.js') } });
  assert.equal(code.trim(), 'console.log(1);');
});

// ---------------------------------------------------------------- dependencies

test('the files import nothing but each other', async () => {
  for (const name of [...MODULES, 'doctor']) {
    const { result } = await build(name, { format: 'esm', metafile: true, external: ['*'] });
    const inputs = Object.values(result.metafile.inputs);
    const outside = inputs.flatMap((i) => i.imports).filter((i) => i.external && !i.path.startsWith('./'));
    assert.deepEqual(outside, [], name);
    const types = ts.preProcessFile(name === 'doctor' ? '' : readFileSync(file(`${name}.d.ts`), 'utf8'));
    for (const { fileName } of [...types.importedFiles, ...types.referencedFiles, ...types.typeReferenceDirectives]) assert.match(fileName, /^\.\//, name);
  }
});

// ---------------------------------------------------------------- bundles that run

/** The values that the types of a module promise. */
const promised = Object.fromEntries(MODULES.map((name) => [name, values(name)]));

function values(name) {
  const program = ts.createProgram([file(`${name}.d.ts`)], { target: ts.ScriptTarget.ES2022 });
  const checker = program.getTypeChecker();
  const symbol = checker.getSymbolAtLocation(program.getSourceFile(file(`${name}.d.ts`)));
  return checker.getExportsOfModule(symbol).filter((s) => s.flags & ts.SymbolFlags.Value).map((s) => s.name).sort();
}

/** Connects by the bundle, and joins a room. */
async function joins({ connect, ImError }) {
  const clock = new Clock();
  const server = new Server();
  const { WebSocket, fetch } = server;
  const client = connect('https://example.org/im', { env: { WebSocket, fetch, setTimeout: clock.setTimeout, clearTimeout: clock.clearTimeout, now: clock.now, storage: null } });
  await settle();
  server.peer.say(WELCOME);
  const joining = client.join('42');
  await settle();
  const [q] = server.peer.take();
  server.peer.say({ op: 'joined', id: q.id, room: '42', epoch: 'e1', seq: 1, state: {}, online: 1, events: [] });
  assert.equal((await joining).online, 1);
  client.close();
  assert.ok(client.status.error instanceof ImError);
}

let files = 0;

/** The exports of a bundle, loaded the way that its format is for. */
async function load(code, format) {
  if (format === 'iife') return new Function(`${code}; return LiveIM`)();
  const at = path.join(dir, `${++files}.${format === 'cjs' ? 'cjs' : 'mjs'}`);
  writeFileSync(at, code);
  return format === 'cjs' ? createRequire(import.meta.url)(at) : import(pathToFileURL(at));
}

async function rolled(name, format) {
  const bundle = await rollup({ input: file(`${name}.js`), onwarn: (warning) => assert.fail(warning.message) });
  const { output } = await bundle.generate({ format: format === 'esm' ? 'es' : format, name: 'LiveIM' });
  await bundle.close();
  return output[0].code;
}

const BUNDLERS = {
  esbuild: async (name, format) => (await build(name, { format, globalName: 'LiveIM' })).code,
  'esbuild --minify': async (name, format) => (await build(name, { format, globalName: 'LiveIM', minify: true })).code,
  rollup: rolled,
};

for (const [bundler, bundle] of Object.entries(BUNDLERS)) {
  for (const format of ['esm', 'cjs', 'iife']) {
    test(`${bundler}, ${format}: it runs, and exports what the types say`, async () => {
      for (const name of MODULES) {
        const exports = await load(await bundle(name, format), format);
        const have = Object.keys(exports).filter((key) => key !== 'internals' && key !== 'default' && key !== 'module.exports').sort();
        assert.deepEqual(have, promised[name], name);
        if (name === 'im') await joins(exports);
      }
    });
  }
}
