// The command wscat: what people type who try things out.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Watch, withResolvers } from './watch.mjs';

const url = `${process.env.HUB.replace('http', 'ws')}/ws`;
const program = fileURLToPath(new URL('node_modules/wscat/bin/wscat', import.meta.url));

/** Runs wscat with options, and types lines when the one before them has had its effect. */
async function wscat(options, typed = []) {
  const child = spawn(process.execPath, [program, '-c', url, '-s', 'im.v1', ...options]);
  const watch = new Watch();
  const got = { ops: [], pings: 0, pongs: [], stderr: '', rooms: watch.rooms };
  child.stderr.on('data', (chunk) => (got.stderr += chunk));
  const type = (happened) => {
    if (happened === typed[0]?.after) child.stdin.write(`${typed.shift().line}\n`);
  };
  createInterface({ input: child.stdout }).on('line', (printed) => {
    const line = printed.replace(/^(> )+/, ''); // the prompt
    const control = /^Received (ping|pong) \(data: "(.*)"\)$/.exec(line);
    if (control?.[1] === 'ping') got.pings++;
    if (control?.[1] === 'pong') got.pongs.push(control[2]);
    for (const m of control ? [] : [JSON.parse(line)].flat()) {
      if (m.op !== 'online') got.ops.push(m.op);
      watch.fold(m);
      type(m.op);
    }
    if (control) type(control[1]);
  });
  const { promise, resolve } = withResolvers();
  child.on('close', resolve);
  got.exit = await promise;
  return got;
}

const say = (id, body) => `{"op":"send","id":${id},"room":"42","kind":"chat","cid":"c-${id}","body":${JSON.stringify(body)}}`;
const x = (...lines) => lines.flatMap((line) => ['-x', line]);
console.log(
  JSON.stringify({
    refused: await wscat(['-H', 'Authorization: Bearer wrong']),
    options: await wscat(['-w', '2', ...x('{"op":"hello","token":"fan"}', '{"op":"join","id":1,"room":"42"}', say(2, 'by option'), '{"op":"ping","id":3}')]),
    keyboard: await wscat(['-P', '--slash', '-H', 'Authorization: Bearer fan'], [
      { after: 'welcome', line: '{"op":"join","id":1,"room":"42"}' },
      { after: 'joined', line: say(4, 'by hand') },
      { after: 'events', line: '/ping there?' },
      { after: 'ping', line: say(5, 'shut down') },
    ]),
  }),
);
