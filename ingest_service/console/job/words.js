/**
 * The words of a transcript as flat arrays, so that the word of a moment is found in microseconds, also among 100,000.
 * A segment without words counts as one word.
 */

/**
 * @typedef {object} WordIndex
 * @property {string[]} text what each word says, behind a blank if there is one before it in its segment
 * @property {Float64Array} start seconds
 * @property {Float64Array} end seconds
 * @property {Float32Array} confidence 0 to 1
 * @property {Uint32Array} segmentOf the segment of each word
 * @property {Uint32Array} firstOf the first word of each segment, and behind the last segment the number of words
 * @property {Uint32Array} order the words in order of their start: those of overlapping segments are interleaved
 * @property {Float64Array} sorted the starts in that order
 * @property {Float64Array} latestEnd the latest end of a word so far in that order: a long word may hold short ones
 */

/** Return the index of a transcript's segments. @returns {WordIndex} */
export function indexWords(segments) {
  const words = segments.map(wordsOf);
  const count = words.reduce((sum, some) => sum + some.length, 0);
  const index = {
    text: new Array(count),
    start: new Float64Array(count),
    end: new Float64Array(count),
    confidence: new Float32Array(count),
    segmentOf: new Uint32Array(count),
    firstOf: new Uint32Array(segments.length + 1),
  };
  let at = 0;
  words.forEach((some, segment) => {
    index.firstOf[segment] = at;
    const texts = textsOf(segments[segment], some);
    some.forEach((word, number) => fill(index, at++, { ...word, word: texts[number] }, segment));
  });
  index.firstOf[segments.length] = count;
  return { ...index, ...inOrder(index.start, index.end) };
}

function inOrder(start, end) {
  const order = Uint32Array.from(start.keys());
  if (start.some((one, at) => at > 0 && one < start[at - 1])) order.sort((a, b) => start[a] - start[b] || a - b);
  const sorted = Float64Array.from(order, (word) => start[word]);
  let latest = 0;
  const latestEnd = Float64Array.from(order, (word) => (latest = Math.max(latest, end[word])));
  return { order, sorted, latestEnd };
}

/** Return the words of a segment; one with all its text if it has none. */
export function wordsOf(segment) {
  if (segment.words?.length) return segment.words;
  return segment.text.trim() ? [{ ...segment, word: segment.text }] : [];
}

/** Return the words with the blanks between them, which only the segment's text shows: not all scripts have any. */
function textsOf({ text }, words) {
  let from = 0;
  return words.map(({ word }, number) => {
    const bare = word.trim();
    const found = text.indexOf(bare, from);
    const isApart = found < 0 ? true : /\s/.test(text.slice(from, found));
    if (found >= 0) from = found + bare.length;
    return number > 0 && isApart ? ` ${bare}` : bare;
  });
}

function fill(index, at, word, segment) {
  index.text[at] = word.word;
  index.start[at] = word.start;
  index.end[at] = word.end;
  index.confidence[at] = word.confidence;
  index.segmentOf[at] = segment;
}

/**
 * Return the word that is said at a time, or -1 in a pause. Of words that overlap it is the one that began last.
 * @param {WordIndex} index
 * @param {number} time seconds
 */
export function wordAt({ order, sorted, end, latestEnd }, time) {
  for (let at = lastAtMost(sorted, time); at >= 0 && latestEnd[at] > time; at--) {
    if (end[order[at]] > time) return order[at];
  }
  return -1;
}

/** Return the word at a time, or in a pause the one that began last; the first before all, -1 without words. */
export function wordNear(index, time) {
  const said = wordAt(index, time);
  if (said >= 0 || !index.order.length) return said;
  return index.order[Math.max(0, lastAtMost(index.sorted, time))];
}

/** Return the last position whose value is at most `value`, in a sorted array; -1 if there is none. */
export function lastAtMost(sorted, value) {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/**
 * Return the rows of the list: `[{segment, first, end}]`, the words `[first, end)` of a segment. A long segment, as of
 * an engine that makes one of all, has several rows.
 */
export function rowsOf(index, most = 100) {
  const rows = [];
  for (let segment = 0; segment + 1 < index.firstOf.length; segment++) {
    const end = index.firstOf[segment + 1];
    for (let first = index.firstOf[segment]; first < end; first += most) {
      rows.push({ segment, first, end: Math.min(end, first + most) });
    }
  }
  return rows;
}

/** Return the row of a word. */
export function rowOf(rows, word) {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle].first <= word) low = middle + 1;
    else high = middle;
  }
  return Math.max(0, low - 1);
}
