/** Usage by day: bars by uPlot in the colours of the theme, and the same as a table. */

import { ConsoleElement, define, html, signal } from "../element.js";
import { formatBytes, formatDuration, formatNumber } from "../format.js";
import uPlot from "../modules/uplot/uPlot.esm.js";
import { strings } from "../strings.js";
import { theme, tokenColour } from "../theme.js";

const HEIGHT_PX = 140;
const AXIS_PX = 64;
const DAYS = 30;
const DAY_MS = 86_400_000;
const text = strings.keys.usage;
const date = new Intl.DateTimeFormat("en", { month: "short", day: "numeric", timeZone: "UTC" });
const MEASURES = {
  audio: { label: text.audio, of: (day) => day.audio_seconds, format: formatDuration, steps: [1, 10, 60, 300, 600, 1800, ...[1, 2, 5, 10, 24, 48, 120, 240, 480].map((hours) => hours * 3600)] },
  bytes: { label: text.bytes, of: (day) => day.bytes, format: formatBytes },
  uploads: { label: text.uploads, of: (day) => day.uploads, format: formatNumber },
};

class UsageChart extends ConsoleElement {
  static properties = { days: [] }; // of GET /v1/usage: the days with usage

  #measure = signal("audio");
  #plot = null;
  #resizing = null;

  connected() {
    const redraw = () => { this.#remove(); this.rendered(); };
    this.watch(() => { theme.value; if (this.#plot) requestAnimationFrame(redraw); });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw, { signal: this.signal });
    this.#resizing = new ResizeObserver(([entry]) => this.#plot?.setSize({ width: Math.floor(entry.contentRect.width), height: HEIGHT_PX }));
    this.#resizing.observe(this);
  }

  disconnected() {
    this.#resizing.disconnect();
    this.#remove();
  }

  render() {
    if (!this.days.length) return html`<p class="quiet-text">${text.none}</p>`;
    const measure = MEASURES[this.#measure.value];
    return html`
      <div class="section-head">
        ${this.#choice()}
        <p class="quiet-text">${text.total(measure.format(total(this.days, measure)))}</p>
      </div>
      <div class="usage-canvas" role="img" aria-label=${summary(this.days, measure)}></div>
      <details><summary>${text.table}</summary>${table(this.days)}</details>`;
  }

  #choice() {
    return html`
      <fieldset class="segmented">
        <legend class="visually-hidden">${text.show}</legend>
        ${Object.entries(MEASURES).map(([name, { label }]) => html`
          <label><input type="radio" name="measure" .checked=${name === this.#measure.value}
            @change=${() => { this.#measure.value = name; }}><span>${label}</span></label>`)}
      </fieldset>`;
  }

  rendered() {
    this.#remove();
    const canvas = this.querySelector(".usage-canvas");
    if (!canvas) return;
    const measure = MEASURES[this.#measure.peek()];
    const all = everyDay(this.days);
    const data = [all.map((_, index) => index), all.map(({ used }) => (used ? measure.of(used) : 0))];
    this.#plot = new uPlot(this.#options(canvas.clientWidth, all, measure), data, canvas);
  }

  #options(width, all, measure) {
    const colour = (name) => tokenColour(this, name);
    const font = `11px ${getComputedStyle(this).fontFamily}`;
    const axis = { font, stroke: colour("text-quiet"), ticks: { show: false }, grid: { stroke: colour("line"), width: 1 } };
    return {
      width,
      height: HEIGHT_PX,
      padding: [8, 8, 0, 0],
      legend: { show: false },
      cursor: { show: false },
      scales: { x: { time: false, range: [-0.6, all.length - 0.4] }, y: { range: (_plot, _least, most) => [0, most > 0 ? most * 1.1 : 1] } },
      axes: [
        { ...axis, size: 24, gap: 4, space: 56, grid: { show: false }, incrs: [1, 2, 5, 7, 14], values: (_plot, ticks) => ticks.map((tick) => (all[tick] ? date.format(all[tick].day) : "")) },
        { ...axis, size: AXIS_PX, gap: 6, space: 36, ...(measure.steps ? { incrs: measure.steps } : {}), values: (_plot, ticks) => ticks.map((tick) => measure.format(tick)) },
      ],
      series: [{}, { fill: colour("accent"), stroke: colour("accent"), width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [0.7, 28] }) }],
    };
  }

  #remove() {
    this.#plot?.destroy();
    this.#plot = null;
  }
}

const total = (days, measure) => days.reduce((sum, day) => sum + measure.of(day), 0);

function summary(days, measure) {
  const peak = days.reduce((most, day) => (measure.of(day) > measure.of(most) ? day : most));
  return text.chart(measure.label, measure.format(total(days, measure)), measure.format(measure.of(peak)), date.format(new Date(peak.day)));
}

/** Return the last 30 days in UTC, each with its usage if it has any. */
function everyDay(days) {
  const byDay = new Map(days.map((day) => [day.day, day]));
  const today = Math.floor(Date.now() / DAY_MS);
  return Array.from({ length: DAYS }, (_, index) => {
    const day = new Date((today - DAYS + 1 + index) * DAY_MS);
    return { day, used: byDay.get(day.toISOString().slice(0, 10)) };
  });
}

const table = (days) => html`
  <div class="table-scroll" tabindex="0" role="region" aria-label=${text.tableLabel}>
    <table>
      <thead><tr><th scope="col">${text.day}</th>${Object.values(MEASURES).map(({ label }) => html`<th scope="col" class="number">${label}</th>`)}</tr></thead>
      <tbody>${[...days].reverse().map((day) => html`
        <tr><th scope="row">${day.day}</th>${Object.values(MEASURES).map(({ of, format }) => html`<td class="number">${format(of(day))}</td>`)}</tr>`)}</tbody>
    </table>
  </div>`;

define("usage-chart", UsageChart);
