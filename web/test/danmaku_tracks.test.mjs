import assert from 'node:assert/strict';
import test from 'node:test';
import { Tracks, scrolling, standing } from '../danmaku.js';

// A small generator with a seed (mulberry32), so that a failure can be repeated.
function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const left = ({ start, end, from, to }, time) => from + ((to - from) * (time - start)) / (end - start);

// How far apart two flights stay between two times. Computed in another way
// than the component does: the distance is piecewise linear, so its least
// value is at an end or where the two change sides, which a fine grid finds.
function distance(a, b, since, until) {
  let least = Infinity;
  for (let i = 0; i <= 64; i++) {
    const time = since + ((until - since) * i) / 64;
    const x = left(a, time);
    const y = left(b, time);
    least = Math.min(least, Math.max(x - y - b.width, y - x - a.width));
  }
  return least;
}

function noneOverlap(placed, until, gap, seed) {
  for (let i = 0; i < placed.length; i++) {
    for (let k = i + 1; k < placed.length; k++) {
      const [a, b] = [placed[i], placed[k]];
      if (a.track >= b.track + b.span || b.track >= a.track + a.span) continue;
      const since = Math.max(a.since, b.since);
      const last = Math.min(a.flight.end, b.flight.end, a.until, b.until, until);
      if (since >= last) continue;
      const apart = distance(a.flight, b.flight, since, last);
      assert.ok(apart >= gap - 1e-6, `seed ${seed}: ${apart} px apart in track ${a.track}: ${JSON.stringify([a, b])}`);
    }
  }
}

test('no two comments of a track ever overlap, whatever their widths, kinds and the stage', () => {
  for (let seed = 1; seed <= 60; seed++) {
    const next = random(seed);
    const between = (low, high) => low + next() * (high - low);
    let stage = between(200, 2600);
    let tracks = new Tracks(Math.floor(between(1, 20)));
    let all = []; // every stretch of a flight in one track, also those of the past
    let flown = 0;
    let now = 0;

    const fly = (progress, kind, width) =>
      kind === 'scroll' ? scrolling(width, stage, 7000, now, kind.lead ?? 0, progress) : standing(width, stage, 4000, now, progress);

    const resize = () => {
      stage = between(200, 2600);
      tracks = new Tracks(Math.floor(between(1, 20)));
      const stretch = next() < 0.5 ? 1 : between(0.5, 2);
      for (const item of all.filter(({ flight, until }) => flight.end > now && until === Infinity)) {
        item.until = now;
        const { start, end, width } = item.flight;
        const flight = fly((now - start) / (end - start), item.kind, width * stretch);
        const track = tracks.place(flight, now, { span: item.span, gap: 5, prefer: item.track });
        if (track >= 0) all.push({ ...item, flight, track, since: now, until: Infinity });
      }
    };

    for (let step = 0; step < 400; step++) {
      now += between(0, 150);
      if (next() < 0.01) resize();
      const rare = next();
      const kind = rare < 0.1 ? 'top' : rare < 0.2 ? 'bottom' : 'scroll';
      const width = next() < 0.1 ? between(1000, 4000) : between(20, 500);
      const span = next() < 0.1 ? 2 : 1;
      const lead = next() < 0.3 ? next() * 0.3 : 0;
      const flight = kind === 'scroll' ? scrolling(width, stage, 7000, now, lead) : fly(0, kind, width);
      const track = tracks.place(flight, now, { span, gap: 20, up: kind === 'bottom' });
      if (track < 0) continue;
      flown++;
      assert.ok(track + span <= tracks.count);
      all.push({ flight, track, span, kind, since: now, until: Infinity });
    }
    assert.ok(flown > 20, `seed ${seed}: only ${flown} flew`);
    noneOverlap(all, Infinity, 5, seed);
  }
});

test('a fast one does not catch a slow one before it has left', () => {
  const tracks = new Tracks(1);
  const stage = 1000;
  const slow = scrolling(50, stage, 8000, 0);
  assert.equal(tracks.place(slow, 0), 0);
  // The slow one has entered long ago, but would be caught on its way out.
  assert.ok(left(slow, 2000) + 50 < stage);
  assert.equal(tracks.place(scrolling(900, stage, 8000, 2000), 2000), -1);
  assert.equal(tracks.place(scrolling(50, stage, 8000, 2000), 2000), 0);
});

test('one that has not entered yet keeps others out', () => {
  const tracks = new Tracks(1);
  tracks.place(scrolling(400, 1000, 8000, 0), 0);
  assert.equal(tracks.place(scrolling(400, 1000, 8000, 100), 100), -1);
  // After a shrink the first is still beyond the new edge.
  assert.equal(tracks.place(scrolling(100, 500, 8000, 200), 200), -1);
});

test('standing ones keep a track to themselves, for their time', () => {
  const tracks = new Tracks(2);
  assert.equal(tracks.place(standing(100, 1000, 4000, 0), 0), 0);
  assert.equal(tracks.place(standing(100, 1000, 4000, 10), 10, { up: true }), 1);
  assert.equal(tracks.place(standing(100, 1000, 4000, 20), 20), -1);
  assert.equal(tracks.place(standing(100, 1000, 4000, 4000), 4000), 0);
});

test('tracks are tried in the asked order and range', () => {
  const at = (place, count = 6) => new Tracks(count).place(standing(10, 100, 1000, 0), 0, place);
  assert.equal(at({}), 0);
  assert.equal(at({ up: true }), 5);
  assert.equal(at({ up: true, span: 2 }), 4);
  assert.equal(at({ first: 2, last: 4 }), 2);
  assert.equal(at({ first: 2, last: 4, up: true }), 3);
  assert.equal(at({ first: 2, last: 4, prefer: 5 }), 5);
  assert.equal(at({ prefer: 9 }), 0);
  assert.equal(at({ span: 7 }), -1);
  assert.equal(at({}, 0), -1);
});

test('a claim keeps the tracks that end first from others, so that a wide one gets in', () => {
  const crowd = (heed) => {
    const tracks = new Tracks(4);
    let claim;
    for (let now = 0; now < 60_000; now += 16) {
      if (now > 20_000) {
        if (tracks.place(scrolling(600, 1000, 8000, now), now, { gap: 20 }) >= 0) return now - 20_000;
        if (heed) claim ??= tracks.claim(1, 0, 4);
      }
      while (tracks.place(scrolling(60, 1000, 8000, now), now, { gap: 20, claim }) >= 0);
    }
    return Infinity;
  };
  assert.equal(crowd(false), Infinity);
  assert.ok(crowd(true) < 4000, `${crowd(true)} ms`);
});

test('a claim is of tracks that are there', () => {
  const tracks = new Tracks(3);
  assert.equal(tracks.claim(2, 0, 1), undefined);
  assert.equal(tracks.claim(1, 0, 0), undefined);
  assert.deepEqual(tracks.claim(2, 1, 3), { track: 1, span: 2 });
});

test('what is removed frees its track', () => {
  const tracks = new Tracks(1);
  const flight = standing(100, 1000, 4000, 0);
  tracks.place(flight, 0);
  tracks.remove(flight);
  assert.equal(tracks.place(standing(100, 1000, 4000, 1), 1), 0);
});

test('a long one is faster than a short one, but not more than twice', () => {
  const speed = ({ start, end, from, to }) => (from - to) / (end - start);
  const short = speed(scrolling(0, 1000, 8000, 0));
  assert.equal(short, 1000 / 8000);
  assert.ok(speed(scrolling(500, 1000, 8000, 0)) > short);
  assert.ok(Math.abs(speed(scrolling(9000, 1000, 8000, 0)) - 2 * short) < 1e-9);
});

test('progress is kept', () => {
  const flight = scrolling(100, 1000, 8000, 5000, 0, 0.5);
  assert.equal(left(flight, 5000), 450);
});
