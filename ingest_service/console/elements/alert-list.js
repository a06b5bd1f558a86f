/** The alerts that fire, with what to do first; or a line that none does. */

import { ConsoleElement, define, html, nothing } from "../element.js";
import { formatDuration } from "../format.js";
import { strings } from "../strings.js";
import { icon } from "./icons.js";

const text = strings.alerts;

class AlertList extends ConsoleElement {
  static properties = { answer: null }; // of GET /v1/alerts

  render() {
    const { alerts, not_evaluated: others, evaluated_at: evaluated } = this.answer ?? {};
    if (!this.answer) return nothing;
    if (!evaluated) return html`<div class="note warn">${icon("alert")}<div><p><strong>${text.unknown}</strong></p><p>${text.unknownDetail}</p></div></div>`;
    return html`
      ${alerts.length ? html`<ul class="alerts">${alerts.map(alertItem)}</ul>` : html`<p class="all-well">${icon("check")}<span>${text.none}</span></p>`}
      ${others.length ? html`
        <details class="small">
          <summary>${text.others(others.length)}</summary>
          <dl class="stack-tight">${others.map((one) => html`<div><dt><code>${one.name}</code></dt><dd class="quiet-text">${one.reason}</dd></div>`)}</dl>
        </details>` : nothing}`;
  }
}

const minutesSince = (time) => Math.max(1, Math.round((Date.now() - new Date(time)) / 60_000));

const alertItem = (alert) => html`
  <li class="note ${alert.severity === "page" ? "bad" : "warn"}">
    ${icon("alert")}
    <div>
      <p><strong dir="auto">${alert.summary}</strong></p>
      <p dir="auto">${alert.runbook}</p>
      <p class="small alert-facts"><span>${text.severity[alert.severity] ?? alert.severity}</span>
        <code>${alert.name}</code> <span>${text.since(formatDuration(minutesSince(alert.since) * 60))}</span></p>
    </div>
  </li>`;

define("alert-list", AlertList);
