import assert from "node:assert/strict";
import { test } from "node:test";

import {
  bodyOf, collisions, contentOf, difference, merged, newLabel, NO_EDITS, normalized, withEntry, wordKey,
} from "../../../../ingest_service/console/job/edit-content.js";

const withWord = (content, segment, word, text) => withEntry(content, "words", wordKey(segment, word), text);
const MINE = withWord(NO_EDITS, 0, 3, "mine");
const THEIRS = withEntry(withWord(NO_EDITS, 0, 3, "theirs"), "names", "S", "Ann");

test("a value is never changed in place", () => {
  const after = withWord(MINE, 1, 0, "x");
  assert.equal(MINE.words.size, 1);
  assert.equal(NO_EDITS.words.size, 0);
  assert.equal(after.names, MINE.names);
  assert.equal(withWord(after, 1, 0, undefined).words.size, 1);
});

test("the difference has what was set, changed and removed", () => {
  assert.deepEqual(difference(NO_EDITS, NO_EDITS), []);
  assert.deepEqual(difference(NO_EDITS, MINE), [["words", "0:3", "mine"]]);
  assert.deepEqual(difference(MINE, NO_EDITS), [["words", "0:3", undefined]]);
  assert.deepEqual(difference(MINE, THEIRS), [["words", "0:3", "theirs"], ["names", "S", "Ann"]]);
});

test("a merge keeps both, and mine where both changed the same", () => {
  const both = merged(NO_EDITS, MINE, THEIRS);
  assert.equal(both.words.get("0:3"), "mine");
  assert.equal(both.names.get("S"), "Ann");
  assert.equal(merged(MINE, NO_EDITS, MINE).words.size, 0); // what I took back is taken back
  assert.deepEqual(merged(NO_EDITS, NO_EDITS, THEIRS), THEIRS);
});

test("a collision is a place that both changed to different values", () => {
  assert.equal(collisions(NO_EDITS, MINE, THEIRS), 1);
  assert.equal(collisions(NO_EDITS, MINE, MINE), 0);
  assert.equal(collisions(THEIRS, withWord(THEIRS, 0, 3, "mine"), withWord(THEIRS, 0, 4, "x")), 0);
});

test("what is sent can be read again", () => {
  const content = withEntry(withEntry(withWord(MINE, 2, 0, ""), "texts", 7, "text"), "speakers", 7, "S");
  const body = bodyOf(content, 4);
  assert.deepEqual(body, {
    base_version: 4,
    speakers: {},
    words: [{ segment: 0, word: 3, text: "mine" }, { segment: 2, word: 0, text: "" }],
    segments: [{ segment: 7, text: "text", speaker: "S" }],
  });
  assert.deepEqual(contentOf(body), content);
});

test("a new speaker's name is sent only while a segment has the speaker", () => {
  const label = newLabel(["NEW_1", "NEW_3"]);
  assert.equal(label, "NEW_2");
  const named = withEntry(withEntry(NO_EDITS, "speakers", 4, label), "names", label, "Zoë");
  assert.deepEqual(bodyOf(named, 0).speakers, { NEW_2: "Zoë" });
  assert.deepEqual(bodyOf(withEntry(named, "speakers", 4, undefined), 0).speakers, {});
});

test("names and labels may be those of an object's own properties", () => {
  const content = withEntry(NO_EDITS, "names", "__proto__", "constructor");
  assert.deepEqual(Object.entries(JSON.parse(JSON.stringify(bodyOf(content, 0))).speakers), [["__proto__", "constructor"]]);
});

test("spaces are as the service keeps them", () => {
  assert.equal(normalized("  a \u3000 b\n"), "a b");
  assert.equal(normalized(" "), "");
});
