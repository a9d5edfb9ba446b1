// The package eventsource: the standard EventSource for Node.js. It resumes by itself.

import { EventSource } from 'eventsource';
import { Watch } from './watch.mjs';

const watch = new Watch('42', '43');
let opens = 0;
const source = new EventSource(`${process.env.HUB}/sse?room=42&room=43`, {
  fetch: (url, init) => fetch(url, { ...init, headers: { ...init.headers, Authorization: 'Bearer fan' } }),
});
source.onopen = () => opens++;
source.onmessage = ({ data }) => watch.fold(JSON.parse(data));

const awake = setInterval(() => {}, 60_000); // version 5 lets the process end while it waits to come back
await watch.ended;
source.close();
clearInterval(awake);
console.log(JSON.stringify({ opens, rooms: watch.rooms, byes: watch.byes }));
