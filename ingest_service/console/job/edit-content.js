/** The corrections of a transcript as a value: texts of words and segments, speakers of segments, names. Pure; nothing is changed in place. */

/**
 * `words`: text by "segment:word"; `texts` and `speakers`: by segment; `names`: by label. All are Maps.
 * @typedef {{words: Map<string, string>, texts: Map<number, string>, speakers: Map<number, string>, names: Map<string, string>}} EditContent
 */

const KINDS = ["words", "texts", "speakers", "names"];

/** No corrections. */
export const NO_EDITS = Object.freeze({ words: new Map(), texts: new Map(), speakers: new Map(), names: new Map() });

/** Return the key of a word. */
export const wordKey = (segment, word) => `${segment}:${word}`;

/** Return the text as the service will keep it: no spaces at the ends, one between words. */
export const normalized = (text) => text.split(/\s+/u).filter(Boolean).join(" ");

/** Return the content with one entry set, or removed if `value` is undefined. */
export function withEntry(content, kind, key, value) {
  const entries = new Map(content[kind]);
  if (value === undefined) entries.delete(key);
  else entries.set(key, value);
  return { ...content, [kind]: entries };
}

/** Return the entries that differ, as `[kind, key, value]`; `value` is undefined where `after` has none. */
export function difference(before, after) {
  return KINDS.flatMap((kind) => {
    if (before[kind] === after[kind]) return [];
    const keys = new Set([...before[kind].keys(), ...after[kind].keys()]);
    return [...keys].filter((key) => before[kind].get(key) !== after[kind].get(key)).map((key) => [kind, key, after[kind].get(key)]);
  });
}

/** Return `theirs` with the changes from `base` to `mine`, which win where both changed the same. */
export function merged(base, mine, theirs) {
  return difference(base, mine).reduce((content, [kind, key, value]) => withEntry(content, kind, key, value), theirs);
}

/** Return how many entries both sides changed, to different values. */
export function collisions(base, mine, theirs) {
  const changed = new Map(difference(base, theirs).map(([kind, key, value]) => [`${kind} ${key}`, value]));
  return difference(base, mine).filter(([kind, key, value]) => changed.has(`${kind} ${key}`) && changed.get(`${kind} ${key}`) !== value).length;
}

/** Return the content of a version as `GET …/transcript/edits/{version}` answers it. */
export function contentOf({ speakers, words, segments }) {
  return {
    words: new Map(words.map((one) => [wordKey(one.segment, one.word), one.text])),
    texts: new Map(segments.filter((one) => isGiven(one.text)).map((one) => [one.segment, one.text])),
    speakers: new Map(segments.filter((one) => isGiven(one.speaker)).map((one) => [one.segment, one.speaker])),
    names: new Map(Object.entries(speakers)),
  };
}

/** Return the body of the request that saves the content. */
export function bodyOf(content, baseVersion) {
  const segments = new Set([...content.texts.keys(), ...content.speakers.keys()]);
  return {
    base_version: baseVersion,
    speakers: Object.fromEntries(usedNames(content)),
    words: [...content.words].map(([key, text]) => ({ ...addressOf(key), text })),
    segments: [...segments].map((segment) => ({
      segment,
      ...(content.texts.has(segment) ? { text: content.texts.get(segment) } : {}),
      ...(content.speakers.has(segment) ? { speaker: content.speakers.get(segment) } : {}),
    })),
  };
}

/** A new speaker's name goes with the last segment that the speaker had: the service knows no such label then. */
function usedNames({ names, speakers }) {
  const added = new Set(speakers.values());
  return [...names].filter(([label]) => !isNewLabel(label) || added.has(label));
}

/** Return a label that no speaker has, for a new one. */
export function newLabel(labels) {
  let number = 1;
  while (labels.includes(`${NEW}${number}`)) number += 1;
  return `${NEW}${number}`;
}

const NEW = "NEW_";
const isNewLabel = (label) => label.startsWith(NEW);
const isGiven = (value) => value !== undefined && value !== null;

function addressOf(key) {
  const [segment, word] = key.split(":").map(Number);
  return { segment, word };
}
