/** What waits, runs and fails: alerts on top, figures with a chart of the day, and the backlog by tenant. Live. */

import { announce } from "../announce.js";
import { get } from "../api.js";
import { ConsoleElement, define, html, nothing, signal } from "../element.js";
import "../elements/alert-list.js";
import "../elements/day-chart.js";
import "../elements/empty-state.js";
import "../elements/error-note.js";
import "../elements/page-header.js";
import { formatDuration, formatNumber, formatPercent } from "../format.js";
import { binned } from "../queue/history.js";
import { poll } from "../poll.js";
import { session } from "../session.js";
import { strings } from "../strings.js";
import { figures } from "../queue/figures.js";

const LIVE_S = 10;
const HISTORY_S = 60;
const BIN_MINUTES = 10;
const text = strings.queue;

class PageQueue extends ConsoleElement {
  static properties = { params: {} };

  #queue = signal(null);
  #history = signal(null);
  #alerts = signal(null);
  #error = signal(null);
  #asTable = signal(false);
  #firing = null; // the number of alerts; null: not known yet

  connected() {
    const stops = [poll(this.#refresh, LIVE_S), poll(this.#refreshHistory, HISTORY_S)];
    this.signal.addEventListener("abort", () => stops.forEach((stop) => stop()));
  }

  render() {
    const queue = this.#queue.value;
    const isOperator = session.value?.operates;
    return html`
      <page-header .heading=${text.title} .intro=${isOperator ? text.intro : text.introOfTenant} .actions=${this.#switch()}></page-header>
      <div class="stack queue-page">
        <error-note .error=${this.#error.value} .retry=${this.#refresh}></error-note>
        ${isOperator ? html`<section aria-label=${strings.alerts.title}><alert-list .answer=${this.#alerts.value}></alert-list></section>` : nothing}
        ${queue ? html`${this.#figures(queue)}${isOperator ? backlog(queue) : nothing}` : loading(this.#error.value)}
      </div>`;
  }

  #switch() {
    const choice = (isTable, label) => html`
      <label><input type="radio" name="shown-as" .checked=${this.#asTable.value === isTable} @change=${() => { this.#asTable.value = isTable; }}>
        <span>${label}</span></label>`;
    return html`<fieldset class="segmented"><legend class="visually-hidden">${text.shownAs}</legend>
      ${choice(false, text.charts)}${choice(true, text.tables)}</fieldset>`;
  }

  #figures(queue) {
    const history = this.#history.value;
    const start = history && new Date(history.from);
    return html`<div class="figures">${figures(queue, dayOf(history)).map((one) => html`
      <section class="card figure" aria-label=${one.label}>
        <h2>${one.label}</h2>
        <p class="figure-value">${one.value}</p>
        <p class="quiet-text small figure-note">${one.note}</p>
        ${one.series ? html`<day-chart .label=${one.chart} .start=${start} .step_s=${BIN_MINUTES * 60} .series=${one.series}
          .format=${one.format} .isDuration=${one.isDuration ?? false}
          .isCount=${one.isCount ?? false} .asTable=${this.#asTable.value}></day-chart>` : nothing}
      </section>`)}</div>`;
  }

  #refresh = async () => {
    try {
      const [queue, alerts] = await Promise.all([
        get("/v1/queue", { signal: this.signal }),
        session.value?.operates ? get("/v1/alerts", { signal: this.signal }) : null,
      ]);
      this.#queue.value = queue;
      this.#alerts.value = alerts;
      this.#error.value = null;
      this.#announce(alerts?.alerts.length ?? 0);
    } catch (error) {
      if (error.name !== "AbortError") this.#error.value = error;
    }
  };

  #refreshHistory = async () => {
    try {
      this.#history.value = await get("/v1/queue/history", { signal: this.signal });
    } catch {
      // the charts stay as they are; the queue's own request says what is wrong
    }
  };

  #announce(firing) {
    if (this.#firing !== null && firing > this.#firing) announce(strings.alerts.fire(firing));
    this.#firing = firing;
  }
}

/** Return a function that reads a series of the history in bins; null if there is no such series. */
const dayOf = (history) => (name, how) => (history?.series[name] ? binned(history.series[name], BIN_MINUTES, how) : null);

const loading = (error) => (error ? nothing : html`<p class="quiet-text" role="status">${strings.app.loading}</p>`);

const backlog = (queue) => html`
  <section class="stack-tight">
    <h2 id="backlog">${text.backlog}</h2>
    ${queue.tenants.length ? tenantTable(queue) : html`<empty-state .icon=${"check"} .heading=${text.empty} .text=${text.emptyDetail}></empty-state>`}
    ${queue.more_tenants ? html`<p class="quiet-text">${text.more(queue.more_tenants)}</p>` : nothing}
  </section>`;

const tenantTable = (queue) => html`
  <div class="table-scroll" tabindex="0" role="region" aria-labelledby="backlog">
    <table>
      <thead><tr>
        <th scope="col">${text.tenant}</th>
        <th scope="col" class="number">${text.tasks}</th>
        <th scope="col" class="number">${text.running}</th>
        <th scope="col" class="number">${text.audio}</th>
        <th scope="col" class="number">${text.oldest}</th>
        <th scope="col" class="number" title=${text.shareDetail}>${text.share}</th>
      </tr></thead>
      <tbody>${queue.tenants.map((one) => html`
        <tr>
          <th scope="row" dir="auto">${one.tenant}</th>
          <td class="number">${formatNumber(one.tasks)}</td>
          <td class="number">${formatNumber(one.running)}</td>
          <td class="number">${formatDuration(one.audio_seconds)}</td>
          <td class="number">${one.tasks ? formatDuration(one.oldest_task_s) : "–"}</td>
          <td class="number">${one.tasks ? formatPercent(one.fair_share) : "–"}</td>
        </tr>`)}</tbody>
    </table>
  </div>`;

define("page-queue", PageQueue);
