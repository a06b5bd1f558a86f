/** The quotas in force, and how much of each is used. */

import { ConsoleElement, define, html, nothing } from "../element.js";
import { formatBytes, formatDuration, formatNumber } from "../format.js";
import { strings } from "../strings.js";
import "./progress-bar.js";

const FORMATS = { bytes_a_day: formatBytes, audio_seconds_a_day: formatDuration, jobs_queued: formatNumber, uploads_at_once: formatNumber };
const NEARLY = 0.8;
const text = strings.keys.quotas;

class QuotaList extends ConsoleElement {
  static properties = {
    quotas: {}, // of GET /v1/usage; null: no limit
    used: {}, // by the same names; undefined: unknown
  };

  render() {
    return html`<dl class="quotas">${Object.keys(FORMATS).map((name) => quota(name, this.quotas[name], this.used[name]))}</dl>`;
  }
}

function quota(name, limit, used) {
  const share = limit && used !== undefined ? Math.min(1, used / limit) : null;
  const label = text.names[name];
  return html`
    <div>
      <dt>${label}</dt>
      <dd>${inWords(FORMATS[name], limit, used)}
        ${share === null ? nothing : html`<progress-bar .value=${share} .label=${label} .kind=${share >= 1 ? "bad" : share >= NEARLY ? "warn" : ""}></progress-bar>`}</dd>
    </div>`;
}

function inWords(format, limit, used) {
  if (used === undefined) return limit === null ? text.noLimit : text.upTo(format(limit));
  return limit === null ? text.noLimitUsed(format(used)) : text.of(format(used), format(limit));
}

define("quota-list", QuotaList);
