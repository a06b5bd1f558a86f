import assert from "node:assert/strict";
import { test } from "node:test";

import { findText, matchFrom } from "../../../../ingest_service/console/job/find.js";
import { wordAfterKey } from "../../../../ingest_service/console/job/keys-of-words.js";
import { indexWords, rowOf, rowsOf, wordAt, wordNear } from "../../../../ingest_service/console/job/words.js";

const word = (text, start, end, confidence = 0.9) => ({ word: text, start, end, confidence });
const segment = (words, text = words.map((one) => one.word).join("")) => ({
  text, words, start: words[0]?.start ?? 0, end: words.at(-1)?.end ?? 0, confidence: 0.8,
});
const INDEX = indexWords([
  segment([word(" Hello", 0, 1), word(" wörld,", 1.2, 2, 0.3)]),
  { text: " no words ", words: [], start: 3, end: 4, confidence: 0.5 },
  segment([], "  "),
  segment([word("これは", 5, 5.4), word("日本語", 5.4, 6)]),
]);

test("a segment without words is one word, and an empty one is none", () => {
  assert.deepEqual(INDEX.text, ["Hello", " wörld,", "no words", "これは", "日本語"]);
  assert.deepEqual([...INDEX.firstOf], [0, 2, 3, 3, 5]);
  assert.deepEqual([...INDEX.segmentOf], [0, 0, 1, 3, 3]);
});

test("the text of the segment says where blanks are", () => {
  const words = (text, ...some) => indexWords([segment(some.map((one, at) => word(one, at, at + 1)), text)]).text;
  assert.deepEqual(words(" And so, my\u00a0friend", "And", "so,", "my", "friend"), ["And", " so,", " my", " friend"]);
  assert.deepEqual(words("これは日本語 です", "これは", "日本語", "です"), ["これは", "日本語", " です"]);
  assert.deepEqual(words("a a aa", "a", "a", "aa"), ["a", " a", " aa"]);
  assert.deepEqual(words("another text", "lost", "text"), ["lost", " text"]);
});

test("the word of a moment", () => {
  const at = (time) => wordAt(INDEX, time);
  assert.deepEqual([-1, 0, 0.99, 1, 1.2, 2, 3.5, 5.4, 6].map(at), [-1, 0, 0, -1, 1, -1, 2, 4, -1]);
  assert.deepEqual([-1, 1.1, 2.5, 99].map((time) => wordNear(INDEX, time)), [0, 0, 1, 4]);
});

test("without words there is none", () => {
  const empty = indexWords([]);
  assert.deepEqual([wordAt(empty, 0), wordNear(empty, 0), rowsOf(empty).length, findText(empty, "a").length], [-1, -1, 0, 0]);
});

test("overlapping segments: the word that began last, wherever it stands", () => {
  const index = indexWords([segment([word(" long", 0, 10)]), segment([word(" b", 1, 2), word(" c", 4, 5)]), segment([word(" a", 0.5, 3)])]);
  assert.deepEqual([0.1, 0.7, 1.5, 2.5, 3.5, 4.5, 9].map((time) => wordAt(index, time)), [0, 3, 1, 3, 0, 2, 0]);
});

test("the word of a moment equals a search through all, for random words", () => {
  let seed = 7;
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  const words = Array.from({ length: 300 }, () => { const start = random() * 60; return word(" w", start, start + random() * 2); });
  const index = indexWords(words.map((one) => segment([one])));
  for (let time = 0; time < 62; time += 0.07) {
    const said = words.map((one, at) => [one, at]).filter(([one]) => one.start <= time && one.end > time);
    const last = said.sort(([a], [b]) => b.start - a.start)[0];
    assert.equal(wordAt(index, time), last ? last[1] : -1, `at ${time}`);
  }
});

test("rows: a long segment has several", () => {
  const index = indexWords([segment(Array.from({ length: 25 }, (_, at) => word(" a", at, at + 1))), segment([word(" b", 30, 31)])]);
  const rows = rowsOf(index, 10);
  assert.deepEqual(rows.map(({ segment: of, first, end }) => [of, first, end]), [[0, 0, 10], [0, 10, 20], [0, 20, 25], [1, 25, 26]]);
  assert.deepEqual([0, 9, 10, 24, 25].map((at) => rowOf(rows, at)), [0, 0, 1, 2, 3]);
});

test("find: case, accents and blanks do not count, and a match goes on in the next segment", () => {
  const found = (text) => findText(INDEX, text);
  assert.deepEqual(found("hello  WORLD"), [{ first: 0, last: 1 }]);
  assert.deepEqual(found("Wörld"), [{ first: 1, last: 1 }]);
  assert.deepEqual(found("world, no"), [{ first: 1, last: 2 }]);
  assert.deepEqual(found("は日"), [{ first: 3, last: 4 }]);
  assert.deepEqual(found("l"), [{ first: 0, last: 0 }, { first: 0, last: 0 }, { first: 1, last: 1 }]);
  assert.deepEqual([found("").length, found("   ").length, found("zebra").length, found("(").length], [0, 0, 0, 0]);
  assert.equal(findText(INDEX, "l", 2).length, 2);
});

test("the first match is the one in view or behind", () => {
  const matches = [{ first: 2, last: 3 }, { first: 8, last: 8 }];
  assert.deepEqual([0, 3, 4, 9].map((at) => matchFrom(matches, at)), [0, 0, 1, 0]);
  assert.equal(matchFrom([], 3), -1);
});

test("keys move between words and segments, and follow the direction of the text", () => {
  const go = (key, from, more = {}) => wordAfterKey({ key, ...more }, from, INDEX, more.isRightToLeft);
  assert.deepEqual([go("ArrowRight", 0), go("ArrowLeft", 1), go("ArrowLeft", 0), go("ArrowRight", 4)], [1, 0, 0, 4]);
  assert.deepEqual([go("ArrowLeft", 0, { isRightToLeft: true }), go("ArrowRight", 1, { isRightToLeft: true })], [1, 0]);
  assert.deepEqual([go("ArrowDown", 0), go("ArrowUp", 1), go("ArrowUp", 3), go("ArrowDown", 4)], [2, 0, 2, 4]);
  assert.deepEqual([go("Home", 4), go("End", 3), go("Home", 4, { ctrlKey: true }), go("End", 0, { ctrlKey: true })], [3, 4, 0, 4]);
  assert.equal(go("x", 0), null);
});
