/** Find text in the words of a transcript, also in rows that are not in the document. */

import { lastAtMost } from "./words.js";

/**
 * Return where a text is found: `[{first, last}]`, the words that each match touches, in order. Case, accents and the
 * number of blanks do not count. A match may go on in the next segment.
 * @param {import("./words.js").WordIndex} index
 * @param {string} wanted
 */
export function findText(index, wanted, most = 10_000) {
  const needle = fold(wanted).trim();
  if (!needle) return [];
  const { text, begins } = searchable(index);
  const matches = [];
  for (let at = text.indexOf(needle); at >= 0 && matches.length < most; at = text.indexOf(needle, at + needle.length)) {
    matches.push({ first: wordOf(begins, at), last: wordOf(begins, at + needle.length - 1) });
  }
  return matches;
}

const prepared = new WeakMap();

/** Return the folded text of all words, and where each begins in it. It is made once for an index. */
function searchable(index) {
  if (!prepared.has(index)) prepared.set(index, join(index));
  return prepared.get(index);
}

function join(index) {
  const pieces = [];
  const begins = new Uint32Array(index.text.length);
  let length = 0;
  let endsBlank = true;
  index.text.forEach((word, at) => {
    const isNewSegment = at > 0 && index.segmentOf[at] !== index.segmentOf[at - 1];
    let piece = fold(isNewSegment ? ` ${word}` : word);
    if (endsBlank) piece = piece.replace(/^ /, "");
    begins[at] = length + (piece.startsWith(" ") ? 1 : 0);
    if (piece) endsBlank = piece.endsWith(" ");
    pieces.push(piece);
    length += piece.length;
  });
  return { text: pieces.join(""), begins };
}

/** Return a text without case and accents, and with single blanks. */
export function fold(text) {
  const plain = text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  return plain.replace(/\s+/gu, " ");
}

function wordOf(begins, at) {
  return Math.max(0, lastAtMost(begins, at)); // a blank before a word belongs to the word before it
}

/** Return the match at or behind a word, by its number; the first if there is none behind, -1 without matches. */
export function matchFrom(matches, word) {
  if (!matches.length) return -1;
  const found = matches.findIndex((match) => match.last >= word);
  return Math.max(0, found);
}
