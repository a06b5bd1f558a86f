/**
 * The heights of a list of which only the visible rows exist. A row's height is an estimate until it was measured.
 * A Fenwick tree keeps the sums, so that each question costs the logarithm of the number of rows.
 */
export class ListGeometry {
  /** @param {Float64Array | number[]} heights the estimated height of each row, in pixels */
  constructor(heights) {
    this.heights = Float64Array.from(heights);
    this.count = this.heights.length;
    this.sums = new Float64Array(this.count + 1);
    for (let row = 1; row <= this.count; row++) {
      this.sums[row] += this.heights[row - 1];
      const parent = row + (row & -row);
      if (parent <= this.count) this.sums[parent] += this.sums[row];
    }
  }

  /** Return the height of all rows. */
  get total() {
    return this.offsetOf(this.count);
  }

  /** Return where a row begins: the height of the rows before it. */
  offsetOf(row) {
    let sum = 0;
    for (let at = Math.min(row, this.count); at > 0; at -= at & -at) sum += this.sums[at];
    return sum;
  }

  /** Set the measured height of a row. Return by how much it changed. */
  setHeight(row, height) {
    const change = height - this.heights[row];
    if (change === 0) return 0;
    this.heights[row] = height;
    for (let at = row + 1; at <= this.count; at += at & -at) this.sums[at] += change;
    return change;
  }

  /** Return the row at an offset; the first or the last one beyond the ends. */
  rowAt(offset) {
    let row = 0;
    let left = Math.max(0, offset);
    for (let step = 1 << Math.floor(Math.log2(this.count || 1)); step; step >>= 1) {
      if (row + step <= this.count && this.sums[row + step] <= left) {
        row += step;
        left -= this.sums[row];
      }
    }
    return Math.min(row, Math.max(0, this.count - 1));
  }

  /** Return the rows `[first, end)` that a view shows, with `margin` pixels more on both sides. */
  visible(top, height, margin = 0) {
    if (!this.count) return { first: 0, end: 0 };
    return { first: this.rowAt(top - margin), end: this.rowAt(top + height + margin) + 1 };
  }
}

/** Return the estimated height of a text in a column: full-width characters take two columns. */
export function estimateHeight(text, columns, lineHeight, frame) {
  const width = text.length + (text.match(WIDE)?.length ?? 0);
  return frame + lineHeight * Math.max(1, Math.ceil(width / Math.max(1, columns)));
}

const WIDE = /[\u1100-\u115f\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60]/g;
