/** Where a key leads from a word of the transcript. */

/**
 * Return the word that a key goes to, or null if the key does not move.
 * @param {{key: string, ctrlKey: boolean, metaKey: boolean}} event
 * @param {number} word
 * @param {{firstOf: Uint32Array, segmentOf: Uint32Array, text: string[]}} index
 * @param {boolean} isRightToLeft of the word's text: there the next word is at the left
 */
export function wordAfterKey({ key, ctrlKey, metaKey }, word, index, isRightToLeft = false) {
  const last = index.text.length - 1;
  const segment = index.segmentOf[word];
  const clamp = (target) => Math.min(last, Math.max(0, target));
  switch (key) {
    case "ArrowRight": return clamp(word + (isRightToLeft ? -1 : 1));
    case "ArrowLeft": return clamp(word + (isRightToLeft ? 1 : -1));
    case "ArrowDown": return clamp(index.firstOf[segment + 1]);
    case "ArrowUp": return word > index.firstOf[segment] ? index.firstOf[segment] : clamp(firstBefore(index, segment));
    case "Home": return ctrlKey || metaKey ? 0 : index.firstOf[segment];
    case "End": return ctrlKey || metaKey ? last : clamp(index.firstOf[segment + 1] - 1);
    default: return null;
  }
}

/** The first word of the last segment before that has words. */
function firstBefore({ firstOf }, segment) {
  let before = segment - 1;
  while (before > 0 && firstOf[before] === firstOf[segment]) before--;
  return firstOf[Math.max(0, before)];
}
