// The package eventsource-client: another EventSource, with headers of one's own. It resumes by itself.

import { createEventSource } from 'eventsource-client';
import { Watch } from './watch.mjs';

const watch = new Watch('42', '43');
let opens = 0;
const source = createEventSource({
  url: `${process.env.HUB}/sse?room=42&room=43`,
  headers: { Authorization: 'Bearer fan' },
  onConnect: () => opens++,
  onMessage: ({ data }) => watch.fold(JSON.parse(data)),
});

await watch.ended;
source.close();
console.log(JSON.stringify({ opens, rooms: watch.rooms, byes: watch.byes }));
