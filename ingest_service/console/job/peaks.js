/** The numbers of a waveform: from an audiowaveform document (version 2) to one column a pixel. */

/** Return how many pairs a document has for each second. */
export function pairsPerSecond(peaks) {
  return peaks.sample_rate / peaks.samples_per_pixel;
}

/**
 * Return the waveform between two times as `columns` pairs, `[low, high, low, high, …]` from -1 to 1. Columns behind
 * the end are 0. Where a pair is wider than a column, it is repeated.
 */
export function columnsOf(peaks, from, to, columns) {
  const rate = pairsPerSecond(peaks);
  const full = 2 ** ((peaks.bits ?? 8) - 1);
  const step = ((to - from) * rate) / columns;
  const out = new Float32Array(columns * 2);
  for (let column = 0; column < columns; column++) {
    const first = Math.floor(from * rate + column * step);
    const end = Math.max(first + 1, Math.floor(from * rate + (column + 1) * step));
    const [low, high] = extremes(peaks.data, Math.max(0, first), Math.min(end, peaks.length));
    out[2 * column] = low / full;
    out[2 * column + 1] = high / full;
  }
  return out;
}

function extremes(data, first, end) {
  let low = 0;
  let high = 0;
  for (let at = 2 * first; at < 2 * end; at += 2) {
    if (data[at] < low) low = data[at];
    if (data[at + 1] > high) high = data[at + 1];
  }
  return [low, high];
}

/** Return by how much to enlarge a waveform so that quiet speech is seen too, from 1 to `most`. */
export function gainOf(peaks, most = 8) {
  const loudness = [];
  const stride = Math.max(1, Math.floor(peaks.length / 4096));
  for (let at = 0; at < peaks.length; at += stride) {
    loudness.push(Math.max(-peaks.data[2 * at], peaks.data[2 * at + 1]));
  }
  loudness.sort((a, b) => a - b);
  const loud = loudness[Math.floor(loudness.length * 0.99)] || 1;
  return Math.min(most, Math.max(1, 2 ** ((peaks.bits ?? 8) - 1) / loud));
}
