/**
 * The scrolling list of a transcript: only the rows in view are in the document, each rendered by itself, so that a
 * row keeps its nodes, its focus and its selection while others come and go.
 */

import { nothing } from "../element.js";
import { estimateHeight, ListGeometry } from "../job/list-geometry.js";
import { render } from "../modules/lit-html/lit-html.js";

const MARGIN_PX = 600; // rows this far outside the view are there, too
const ROW_FRAME_PX = 12; // of a row's padding
const LINE_PX = 26;
const COLUMN_PX = 8.2; // the mean width of a letter

export class TranscriptList {
  #rows = new Map(); // row → its element
  #unmeasured = new Set(); // rows whose height may have changed
  #geometry = new ListGeometry([]);
  #template = () => nothing;

  /**
   * @param {HTMLElement} scroller what scrolls
   * @param {HTMLElement} sizer its only child, which has the list's height
   * @param {() => void} shown called when rows have come into the document
   * @param {AbortSignal} signal ends the listening
   */
  constructor(scroller, sizer, shown, signal) {
    this.scroller = scroller;
    this.sizer = sizer;
    this.shown = shown;
    let width = 0;
    const sizes = new ResizeObserver(() => {
      if (scroller.clientWidth !== width) this.#measureAll(); // the lines break elsewhere
      width = scroller.clientWidth;
      this.show();
    });
    sizes.observe(scroller);
    signal.addEventListener("abort", () => sizes.disconnect());
    scroller.addEventListener("scroll", () => this.show(), { passive: true, signal });
  }

  /** Show other rows. `texts` estimates their heights; `template(row)` renders one. */
  setRows(texts, template) {
    const columns = Math.max(20, (this.scroller.clientWidth - 90) / COLUMN_PX);
    this.#template = template;
    this.#geometry = new ListGeometry(texts.map((text) => estimateHeight(text, columns, LINE_PX, ROW_FRAME_PX)));
    for (const element of this.#rows.values()) element.remove();
    this.#rows.clear();
    this.#unmeasured.clear();
    this.sizer.style.height = `${this.#geometry.total}px`;
    this.show();
  }

  /** Render the rows that are in the document again: what their template reads has changed. */
  refresh() {
    this.refreshRows(...this.#rows.keys());
  }

  /** Render some rows again, if they are in the document. */
  refreshRows(...rows) {
    for (const row of rows) {
      const element = this.#rows.get(row);
      if (!element) continue;
      render(this.#template(row), element);
      this.#unmeasured.add(row);
    }
    this.#measure();
  }

  /** Bring the rows into the document that the view shows, and take the others out. */
  show() {
    const { scrollTop, clientHeight } = this.scroller;
    if (!clientHeight) return;
    const { first, end } = this.#geometry.visible(scrollTop, clientHeight, MARGIN_PX);
    this.#removeOutside(first, end);
    for (let row = first; row < end; row++) if (!this.#rows.has(row)) this.#insert(row);
    if (!this.#unmeasured.size) return;
    this.#measure();
    this.shown();
  }

  /** Scroll so that a row is at `share` of the view's height, and bring it into the document. */
  reveal(row, share = 0.3) {
    const { scroller } = this;
    // Estimates on the way are replaced by measures, which moves the row: the second round finds it in its place.
    for (let round = 0; round < 2; round++) {
      scroller.scrollTop = Math.max(0, this.#geometry.offsetOf(row) - scroller.clientHeight * share);
      this.show();
    }
  }

  /** Return whether a row is in the comfortable part of the view, where nothing need scroll. */
  isInView(row) {
    const top = this.#geometry.offsetOf(row) - this.scroller.scrollTop;
    const bottom = this.#geometry.offsetOf(row + 1) - this.scroller.scrollTop;
    return bottom > 0 && top >= 0 && Math.min(bottom, top + LINE_PX * 3) <= this.scroller.clientHeight * 0.85;
  }

  /** Return the first row in view. */
  get firstInView() {
    return this.#geometry.rowAt(this.scroller.scrollTop);
  }

  #insert(row) {
    const element = document.createElement("div");
    element.className = "segment";
    element.setAttribute("role", "listitem");
    element.setAttribute("aria-posinset", row + 1);
    element.setAttribute("aria-setsize", this.#geometry.count);
    render(this.#template(row), element);
    this.sizer.insertBefore(element, this.#elementAfter(row));
    this.#rows.set(row, element);
    this.#unmeasured.add(row);
  }

  /** The rows are in the document in their order, for the keyboard and for screen readers. */
  #elementAfter(row) {
    let next = null;
    for (const other of this.#rows.keys()) if (other > row && (next === null || other < next)) next = other;
    return next === null ? null : this.#rows.get(next);
  }

  #removeOutside(first, end) {
    for (const [row, element] of this.#rows) {
      if (row >= first && row < end) continue;
      if (element.contains(document.activeElement)) this.scroller.focus({ preventScroll: true });
      element.remove();
      this.#rows.delete(row);
      this.#unmeasured.delete(row);
    }
  }

  /** Measure the new rows and put each row in its place. What is at the top of the view stays there. */
  #measure() {
    if (!this.#unmeasured.size) return;
    const { scroller } = this;
    const { scrollTop } = scroller;
    const anchor = this.#geometry.rowAt(scrollTop);
    const hidden = scrollTop - this.#geometry.offsetOf(anchor);
    const heights = [...this.#unmeasured].map((row) => [row, this.#rows.get(row)?.getBoundingClientRect().height]);
    this.#unmeasured.clear();
    for (const [row, height] of heights) if (height) this.#geometry.setHeight(row, height);
    this.sizer.style.height = `${this.#geometry.total}px`;
    for (const [row, element] of this.#rows) element.style.transform = `translateY(${this.#geometry.offsetOf(row)}px)`;
    const top = this.#geometry.offsetOf(anchor) + hidden;
    if (Math.abs(top - scrollTop) > 0.5) scroller.scrollTop = top;
  }

  #measureAll() {
    for (const row of this.#rows.keys()) this.#unmeasured.add(row);
    this.#measure();
  }
}
