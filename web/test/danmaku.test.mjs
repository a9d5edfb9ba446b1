import assert from 'node:assert/strict';
import test from 'node:test';
import { clean, hexColor } from '../danmaku.js';

test('text keeps what can be seen', () => {
  for (const text of ['hello', '哈哈哈', 'مرحبا', 'naïve', '👨‍👩‍👧‍👦', '❤️', 'می‌خواهم', '<b>&amp;</b>', 'ก็ดี้', 'हिन्दी']) {
    assert.equal(clean(text), text);
  }
});

test('text loses what cannot be seen or turns the line around', () => {
  const cases = [
    ['a\u202eb\u2066c\u200fd\u061ce', 'abcde'],
    ['a\u200bb\u2060c\ufeffd\u00ade', 'abcde'],
    ['a\u0000b\u0007c\u001b[31md\u009b', 'abc[31md'],
    ['line\none\r\n two\u2028three\tfour', 'line one two three four'],
    ['  a \u3000\u00a0 b  ', 'a b'],
    ['a\u2800\u2800\u2800b', 'a b'],
    ['lone \ud83d and \ude00', 'lone and'],
    ['tag\u{e0041}\u{e007f}', 'tag'],
    ['a\u200d\u200d\u200d\u200db', 'a\u200db'],
  ];
  for (const [text, want] of cases) assert.equal(clean(text), want, JSON.stringify(text));
});

test('nothing to see is nothing', () => {
  for (const text of ['', '   ', '\u200b\u202e', '\u3164\u115f\uffa0', '\u2800', '\u200d\ufe0f', '\u0301\u0301', '\n']) {
    assert.equal(clean(text), '', JSON.stringify(text));
  }
  for (const other of [undefined, null, 7, {}, ['a'], true]) assert.equal(clean(other), '');
});

test('marks do not pile up', () => {
  assert.equal(clean(`z${'\u0301'.repeat(50)}a`), `z${'\u0301'.repeat(4)}a`);
});

test('length is counted in graphemes', () => {
  const family = '👨‍👩‍👧‍👦';
  assert.equal(clean('a'.repeat(100)), 'a'.repeat(100));
  assert.equal(clean('a'.repeat(101)), `${'a'.repeat(100)}…`);
  assert.equal(clean(family.repeat(3), 3), family.repeat(3));
  assert.equal(clean(family.repeat(5), 2), `${family.repeat(2)}…`);
  assert.equal(clean('e\u0301'.repeat(5), 3), `${'e\u0301'.repeat(3)}…`);
  assert.ok(clean('👨\u200d'.repeat(100_000)).length <= 825); // one grapheme, but its weight is bounded
  assert.ok(clean('x'.repeat(10_000_000)).length <= 101);
});

test('text is cleaned in linear time', () => {
  for (const text of ['\u0301', ' ', '\u200d', 'a\u200d', '\ud800', 'a '].map((unit) => unit.repeat(1_000_000))) {
    const begin = performance.now();
    clean(text, 1000);
    assert.ok(performance.now() - begin < 200, JSON.stringify(text.slice(0, 4)));
  }
});

test('colours', () => {
  const cases = [
    [0, '#000000'],
    [255, '#0000ff'],
    [0xffffff, '#ffffff'],
    ['#FFD54A', '#ffd54a'],
    ['#f0c', '#ff00cc'],
  ];
  for (const [color, want] of cases) assert.equal(hexColor(color), want);
  const wrong = [-1, 0x1000000, 1.5, NaN, Infinity, '', 'red', '#ff', '#12345', '#12345678', '#ggg', '16777215', '#fff;background:url(//x)',
    '#fff\n', 'url(x)', 'var(--x)', null, undefined, {}, ['#fff'], 7n];
  for (const color of wrong) assert.equal(hexColor(color, '#123456'), '#123456', String(color));
});
