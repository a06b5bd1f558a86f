/** A small chart of a day, or the same as a table: lines by uPlot in the colours of the theme, readable at the pointer. */

import { ConsoleElement, define, html, nothing, signal } from "../element.js";
import { formatShortTime } from "../format.js";
import { highest, isolated, latest } from "../queue/history.js";
import uPlot from "../modules/uplot/uPlot.esm.js";
import { strings } from "../strings.js";
import { theme, tokenColour } from "../theme.js";

const HEIGHT_PX = 104;
const AXIS_PX = 44;
const DURATIONS_S = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 28800, 43200, 86400, 172800, 604800];
const COUNTS = [1, 2, 5].flatMap((one) => Array.from({ length: 12 }, (_, power) => one * 10 ** power)).sort((a, b) => a - b);
const text = strings.chart;
const clock = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

class DayChart extends ConsoleElement {
  static properties = {
    label: "", // what is shown
    start: null, // the Date of the first value
    step_s: 600, // between two values
    series: [], // [{label, colour: the name of a token, values: [number or null]}]
    format: String, // a value as text
    isDuration: false, // the values are seconds
    isCount: false, // the values are whole numbers
    asTable: false,
  };

  #plot = null;
  #pointed = signal(null); // the index under the pointer
  #drawn = ""; // what the plot shows

  connected() {
    const redraw = () => { this.#remove(); this.rendered(); };
    this.watch(() => { theme.value; if (this.#plot) requestAnimationFrame(redraw); });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw, { signal: this.signal });
    this.resizing = new ResizeObserver(([entry]) => {
      this.#plot?.setSize({ width: Math.floor(entry.contentRect.width), height: HEIGHT_PX });
    });
    this.resizing.observe(this);
  }

  disconnected() {
    this.resizing.disconnect();
    this.#remove();
  }

  render() {
    if (!this.start || this.series.every((one) => latest(one.values) === null)) {
      return html`<p class="quiet-text small chart-empty">${text.empty}</p>`;
    }
    return this.asTable ? this.#table() : this.#chart();
  }

  rendered() {
    const canvas = this.querySelector(".chart-canvas");
    if (!canvas) return this.#remove();
    const data = [this.series[0].values.map((_, at) => this.#time(at) / 1000), ...this.series.map((one) => one.values)];
    const drawn = JSON.stringify(data);
    if (this.#plot?.root.parentElement === canvas) {
      if (drawn !== this.#drawn) this.#plot.setData(data);
    } else {
      this.#remove();
      this.#plot = new uPlot(this.#options(canvas.clientWidth), data, canvas);
    }
    this.#drawn = drawn;
  }

  #chart() {
    return html`
      <figure>
        <div class="chart-canvas" role="img" aria-label=${this.#summary()}></div>
        <figcaption class="quiet-text small" aria-hidden="true">${this.#caption()}</figcaption>
      </figure>`;
  }

  /** Each hour of the day, the newest first. */
  #table() {
    const each = Math.round(3600 / this.step_s);
    const last = this.series[0].values.length - 1;
    const rows = this.series[0].values.map((_, at) => last - at).filter((at) => (last - at) % each === 0);
    return html`
      <div class="table-scroll chart-table" tabindex="0" role="region" aria-label=${this.label}>
        <table>
          <caption class="visually-hidden">${this.label}</caption>
          <thead><tr><th scope="col">${text.time}</th>${this.series.map((one) => html`<th scope="col" class="number">${one.label}</th>`)}</tr></thead>
          <tbody>${rows.map((at) => html`
            <tr><th scope="row">${formatShortTime(this.#time(at))}</th>
              ${this.series.map((one) => html`<td class="number">${this.#shown(one.values[at])}</td>`)}</tr>`)}</tbody>
        </table>
      </div>`;
  }

  #caption() {
    const at = this.#pointed.value;
    const several = this.series.length > 1;
    const shown = (one) => html`<span class="chart-key" data-colour=${one.colour}>${several ? html`<i></i>${one.label}` : nothing}
      ${at === null ? nothing : html`<b>${this.#shown(one.values[at])}</b>`}</span>`;
    if (at === null && !several) return this.#peak();
    return html`${at === null ? nothing : html`<span>${clock.format(this.#time(at))}</span>`}${this.series.map(shown)}`;
  }

  #peak() {
    const peak = highest(this.series[0].values);
    return text.peak(this.#shown(peak.value), clock.format(this.#time(peak.at)));
  }

  #summary() {
    const words = this.series.map((one) => {
      const peak = highest(one.values);
      return peak ? text.summary(one.label, this.#shown(latest(one.values)), this.#shown(peak.value), clock.format(this.#time(peak.at))) : "";
    });
    return [this.label, ...words].join(". ");
  }

  #time(at) {
    return this.start.getTime() + at * this.step_s * 1000;
  }

  #shown(value) {
    return value === null || value === undefined ? text.gap : this.format(value);
  }

  #options(width) {
    const colour = (name) => tokenColour(this, name);
    const font = `11px ${getComputedStyle(this).fontFamily}`;
    const axis = { font, stroke: colour("text-quiet"), ticks: { show: false }, grid: { stroke: colour("line"), width: 1 } };
    return {
      width,
      height: HEIGHT_PX,
      padding: [6, 18, 0, 0], // half of the last time lies right of the chart
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 5 } },
      hooks: { setCursor: [(plot) => { this.#pointed.value = plot.cursor.idx ?? null; }] },
      scales: { y: { range: (_plot, _least, most) => [0, most > 0 ? most * 1.1 : 1] } },
      axes: [
        { ...axis, size: 24, gap: 6, space: 60, grid: { show: false }, values: (_plot, ticks) => ticks.map((tick) => clock.format(tick * 1000)) },
        {
          ...axis,
          size: AXIS_PX,
          gap: 4,
          space: 32,
          incrs: this.isDuration ? DURATIONS_S : this.isCount ? COUNTS : undefined,
          values: (_plot, ticks) => ticks.map((tick) => this.format(tick)),
        },
      ],
      series: [{}, ...this.series.map((one) => ({
        stroke: colour(one.colour),
        fill: this.series.length === 1 ? colour(`${one.colour}-soft`) : undefined,
        width: 1.5,
        points: { show: true, size: 4, filter: () => isolated(one.values) }, // a line needs two
        dash: one.isDashed ? [4, 3] : undefined,
      }))],
    };
  }

  #remove() {
    this.#plot?.destroy();
    this.#plot = null;
  }
}

define("day-chart", DayChart);
