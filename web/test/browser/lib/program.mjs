// Go programs of the repository, built and run for the time of a test.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const REPOSITORY = fileURLToPath(new URL('../../../../', import.meta.url));

/** Builds a program. @returns the path of the binary, which goes with the test */
export async function build(t, packagePath) {
  const dir = await mkdtemp(join(tmpdir(), 'im-program-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const binary = join(dir, 'program');
  const go = spawn('go', ['build', '-o', binary, packagePath], { cwd: REPOSITORY, stdio: ['ignore', 'inherit', 'inherit'] });
  const [code] = await once(go, 'exit');
  if (code !== 0) throw new Error(`go build ${packagePath} has failed`);
  return binary;
}

/** Starts a program, and returns it with the first line that it prints. It ends with the test, or with kill. */
export async function start(t, binary, args) {
  const child = spawn(binary, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const exited = once(child, 'exit');
  const kill = async () => {
    child.kill('SIGKILL');
    await exited;
  };
  t.after(kill);
  let errors = '';
  child.stderr.on('data', (text) => (errors += text));
  const lines = createInterface({ input: child.stdout });
  const line = await Promise.race([once(lines, 'line').then(([first]) => first), exited.then(() => null)]);
  if (line === null) throw new Error(`${args.join(' ')}: the program ended at once: ${errors}`);
  return { line, kill };
}
