// A page that uses the types as a page would. `npm run types` checks it.

import { gifts, likes, moderation, people } from '../../features.js';
import { connect, ImError, type ConnectionStatus, type Position, type Room } from '../../im.js';

interface Text {
  text: string;
}

const client = connect('/im', {
  token: async ({ signal }) => (await fetch('/token', { signal })).text(),
  transports: ['websocket', 'sse'],
  onstatus: light,
});

function light(status: ConnectionStatus): string {
  switch (status.phase) {
    case 'online':
      return status.transport;
    case 'waiting':
      return `again in ${status.retryAt - Date.now()} ms: ${status.error.reason}`;
    case 'paused':
      return status.cause;
    case 'connecting':
    case 'closed':
      return status.error?.code ?? '';
  }
}

export async function main(saved: Position | null): Promise<Position | null> {
  const room = await client.join<Text>('42', { since: saved, tier: 'full', signal: AbortSignal.timeout(10_000) });
  const off = room.on('event', (e) => {
    const text: string = e.body.text;
    const seq: number | undefined = e.seq;
    console.log(e.replayed, seq, e.from?.name, text);
  });
  room.on('reset', ({ position, online }) => console.log(position.epoch, online));
  room.on('removed', ({ has, seqs, user, reason }) => console.log(seqs.length, user, reason, has({ seq: 1, id: 'e', kind: 'chat', at: 0, body: null })));
  room.on('online', ({ count, joined }) => console.log(count, joined?.names.join(), (joined?.n ?? 0) + 1));
  room.on('left', (error) => console.log(error.code, error.retry));
  room.on('fate', ({ cid, status, error }) => console.log(cid, status, error?.reason));
  client.on('direct', (m) => console.log(m.kind, m.body));
  room.state.on<number>('slide', (value, version) => console.log((value ?? 0) + version));
  try {
    const { status, cid } = await room.send('danmaku', { text: 'hi' }, { cid: 'c-1' });
    const shown: boolean = status === 'ok' || status === 'merged';
    console.log(shown, cid);
    const version: number = await room.state.set('slide', 12, { if: room.state.version('slide') });
    const { value: left } = await room.state.add('stock', -1, { min: 0 });
    await room.state.set('seat.1', 'ann', { if: 0, owner: true, ttl: 60_000 });
    room.state.on<string>('seat.*', (who, at, key) => console.log(who?.length, at, key, left.toFixed(), room.state.cell<string>(key)?.owner));
    const points = await client.call<{ points: number }>('quiz.answer', '42', { answer: version });
    console.log(points.body?.points, client.latency?.toFixed(), client.now());
  } catch (error) {
    if (error instanceof ImError && error.retry === 'later') console.log(error.retryAfter);
    else throw error;
  }
  room.on('held', ({ id, event, wait, status }) => console.log(id, event?.body.text, wait, status));
  await room.decide('e1', false, { reason: 'be kind' });
  const modes: number = await room.setModes({ ...room.modes, slow_ms: 5000, allow: ['role:vip'] }, { if: 0 });
  console.log(modes);
  const page = await room.history({ before: room.position, max: 50, newest: true });
  console.log(page.events.at(-1)?.body.text, page.next?.seq);
  for await (const { events } of room.pages({ from: new Date(0), to: Date.now(), kinds: ['chat'] })) console.log(events.length);
  const replay = room.replay({ from: 1, kinds: ['danmaku'] });
  replay.on('event', (e) => console.log(e.body.text, replay.start));
  replay.on('seek', ({ time }) => console.log(time.toFixed()));
  replay.attach(document.createElement('video'));
  replay.close();
  off();
  await room.leave();
  return room.position;
}

// What must not pass.
export function wrong(): void {
  // @ts-expect-error there is no such transport
  connect('/im', { transports: ['pigeon'] });
  // @ts-expect-error there is no such event
  client.on('message', () => {});
  // @ts-expect-error status is a union
  console.log(client.status.transport);
}

export async function features(room: Room): Promise<void> {
  const shop = gifts(client, room);
  shop.on('combo', ({ from, gift, count, grew }) => console.log(from?.name, gift, count + grew));
  shop.on('paid', (e) => console.log(e.body.text));
  const { gifts: all, tiers } = await shop.list();
  const { state } = await shop.send('rose', { count: 3, price: all[0]?.price });
  await shop.pay('hi', tiers[0]?.amount ?? 1, { cid: 'c-2' });
  await shop.packets.open(100, 10, { split: 'even' });
  console.log(state, shop.givers.stream?.top[0]?.amount, shop.pins[0]?.from?.name);
  likes(room, { kind: 'heart' }).on('milestone', ({ n }) => console.log(n.toFixed()));
  const here = people(client, room);
  here.on('change', ({ members, count }) => console.log(members?.[0]?.name, count));
  const staff = moderation(client, room);
  staff.on('queue', (waiting) => console.log(waiting[0]?.why));
  await staff.mute({ user: 'u2', by: 'device' }, { ms: 600_000 });
  await staff.pin({ id: 'rules', text: 'be kind' });
  // @ts-expect-error neither a message nor a text
  await staff.pin({ ms: 5 });
  // @ts-expect-error there is no such list
  await shop.top('week');
}
