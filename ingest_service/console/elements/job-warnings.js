/** `<job-warnings>`: a job's warnings in words, grouped by code; a click on a time goes there. */

import { ConsoleElement, define, html, nothing, signal } from "../element.js";
import { formatClock } from "../format.js";
import { strings } from "../strings.js";

const FEW = 6; // times of a code that are shown at first

/** Property: `warnings`. Event: `warning-seek` with `{time}`. */
export class JobWarnings extends ConsoleElement {
  static properties = { warnings: [] };

  #open = signal(new Set());

  render() {
    const groups = groupByCode(this.warnings);
    return html`<ul class="warnings">${[...groups].map(([code, some]) => this.#group(code, some))}</ul>`;
  }

  #group(code, warnings) {
    const timed = warnings.filter((one) => one.start !== null && one.start !== undefined);
    const isOpen = this.#open.value.has(code);
    const shown = isOpen ? timed : timed.slice(0, FEW);
    return html`
      <li>
        <p><strong>${strings.job.warningTitles[code] ?? code}</strong></p>
        <p class="small quiet-text" dir="auto">${warnings[0].message}</p>
        ${timed.length ? html`<p class="warning-times">${shown.map((one) => this.#time(one))}
          ${timed.length > shown.length ? html`<button type="button" class="link small" @click=${() => this.#show(code)}>
            ${strings.job.moreTimes(timed.length - shown.length)}</button>` : nothing}</p>` : nothing}
      </li>`;
  }

  #time({ start, end, message }) {
    const span = end === null || end === undefined ? formatClock(start) : `${formatClock(start)} – ${formatClock(end)}`;
    return html`<button type="button" class="link small number" title=${message}
      @click=${() => this.emit("warning-seek", { time: start })}>${span}</button> `;
  }

  #show(code) {
    this.#open.value = new Set([...this.#open.value, code]);
  }
}

function groupByCode(warnings) {
  const groups = new Map();
  for (const one of warnings) groups.set(one.code, [...(groups.get(one.code) ?? []), one]);
  return groups;
}

define("job-warnings", JobWarnings);
