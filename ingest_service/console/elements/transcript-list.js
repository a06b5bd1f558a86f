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
  #geometry = new ListGeometry([]);
  #template = () => nothing;
  #isMeasuring = false;

  /** @param {HTMLElement} scroller what scrolls @param {HTMLElement} sizer its only child, which has the list's height */
  constructor(scroller, sizer, signal) {
    this.scroller = scroller;
    this.sizer = sizer;
    let width = 0;
    const sizes = new ResizeObserver(() => {
      if (scroller.clientWidth !== width) this.#measureAll();
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
    this.show();
  }

  /** Render the rows that are in the document again: what their template reads has changed. */
  refresh() {
    for (const [row, element] of this.#rows) render(this.#template(row), element);
    this.#measure();
  }

  /** Render one row again, if it is in the document. */
  refreshRow(row) {
    const element = this.#rows.get(row);
    if (element) render(this.#template(row), element);
  }

  /** Bring the rows into the document that the view shows, and take the others out. */
  show() {
    const { scrollTop, clientHeight } = this.scroller;
    if (!clientHeight) return;
    const { first, end } = this.#geometry.visible(scrollTop, clientHeight, MARGIN_PX);
    this.#removeOutside(first, end);
    for (let row = first; row < end; row++) if (!this.#rows.has(row)) this.#insert(row);
    this.#measure();
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
    const next = [...this.#rows.keys()].filter((other) => other > row).sort((a, b) => a - b)[0];
    this.sizer.insertBefore(element, next === undefined ? null : this.#rows.get(next));
    this.#rows.set(row, element);
    render(this.#template(row), element);
  }

  #removeOutside(first, end) {
    for (const [row, element] of this.#rows) {
      if (row >= first && row < end) continue;
      if (element.contains(document.activeElement)) this.scroller.focus({ preventScroll: true });
      element.remove();
      this.#rows.delete(row);
    }
  }

  /** Measure the rows and put each in its place. What is at the top of the view stays there. */
  #measure() {
    if (this.#isMeasuring) return;
    this.#isMeasuring = true;
    const { scroller } = this;
    const anchor = this.firstInView;
    const hidden = scroller.scrollTop - this.#geometry.offsetOf(anchor);
    const heights = [...this.#rows].map(([row, element]) => [row, element.getBoundingClientRect().height]);
    const changes = heights.map(([row, height]) => this.#geometry.setHeight(row, height));
    this.sizer.style.height = `${this.#geometry.total}px`;
    for (const [row, element] of this.#rows) element.style.transform = `translateY(${this.#geometry.offsetOf(row)}px)`;
    const top = this.#geometry.offsetOf(anchor) + hidden;
    if (changes.some(Boolean) && Math.abs(top - scroller.scrollTop) > 0.5) scroller.scrollTop = top;
    this.#isMeasuring = false;
  }

  #measureAll() {
    if (this.#rows.size) this.#measure();
  }
}
