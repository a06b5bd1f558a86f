/** The table of a page of jobs. Emits `selected` with the set of the selected ids. */

import { ConsoleElement, define, html, nothing } from "../element.js";
import { formatAge, formatClock, formatNumber, formatTime } from "../format.js";
import { strings } from "../strings.js";
import "./progress-bar.js";
import "./status-badge.js";

const text = strings.jobs.table;

class JobTable extends ConsoleElement {
  static properties = {
    jobs: [],
    selected: new Set(), // ids
    isSelectable: true,
  };

  render() {
    const isAll = this.jobs.length > 0 && this.jobs.every((job) => this.selected.has(job.job_id));
    return html`
      <table class="job-table">
        <caption class="visually-hidden">${strings.jobs.title}</caption>
        <thead><tr>
          ${this.isSelectable ? html`<th scope="col" class="choice">
            <input type="checkbox" aria-label=${text.selectAll} .checked=${isAll} .indeterminate=${!isAll && this.selected.size > 0}
              @change=${() => this.#select(isAll ? [] : this.jobs.map((job) => job.job_id))}></th>` : nothing}
          <th scope="col">${text.file}</th><th scope="col">${text.status}</th><th scope="col" class="number">${text.length}</th>
          <th scope="col" class="number">${text.speakers}</th><th scope="col">${text.warnings}</th><th scope="col" class="number">${text.age}</th>
        </tr></thead>
        <tbody>${this.jobs.map((job) => this.#row(job))}</tbody>
      </table>`;
  }

  /** Move the focus to the next row, or by -1 to the one before. */
  move(by) {
    const links = [...this.querySelectorAll("tbody th a")];
    const now = links.indexOf(this.#focusedRow()?.querySelector("th a"));
    links[now < 0 ? 0 : Math.min(links.length - 1, Math.max(0, now + by))]?.focus();
  }

  /** Select the row that has the focus, or do not. */
  toggle() {
    const id = this.#focusedRow()?.dataset.id;
    if (id && this.isSelectable) this.#toggle(id);
  }

  #focusedRow() {
    return document.activeElement?.closest("job-table tbody tr");
  }

  #row(job) {
    const id = job.job_id;
    const name = job.filename || id;
    const isSelected = this.selected.has(id);
    return html`
      <tr data-id=${id} class=${isSelected ? "selected" : ""}>
        ${this.isSelectable ? html`<td class="choice"><input type="checkbox" aria-label=${text.select(name)} .checked=${isSelected}
          @change=${() => this.#toggle(id)}></td>` : nothing}
        <th scope="row" class="file"><a href=${`/jobs/${id}`}><bdi>${name}</bdi></a></th>
        <td class="state"><status-badge .status=${job.status} .stage=${job.stage}></status-badge>${progressOf(job, name)}</td>
        <td class="number" data-label=${text.length}>${formatClock(job.audio.duration)}</td>
        <td class="number" data-label=${text.speakers}>${formatNumber(job.speakers)}</td>
        <td class="remarks">${remarks(job)}</td>
        <td class="number age"><time datetime=${job.created_at} title=${formatTime(job.created_at)}>${formatAge(job.created_at)}</time></td>
      </tr>`;
  }

  #toggle(id) {
    const selected = new Set(this.selected);
    if (!selected.delete(id)) selected.add(id);
    this.#select(selected);
  }

  #select(ids) {
    this.emit("selected", new Set(ids));
  }
}

const progressOf = (job, name) =>
  job.status === "PROCESSING" ? html`<progress-bar .value=${job.progress} .label=${text.progress(name)}></progress-bar>` : nothing;

/** The failure's code, or the codes of the warnings, each once with its number. */
function remarks(job) {
  if (job.error) return html`<span class="badge bad" title=${job.error.message}>${strings.jobs.code(job.error.code)}</span>`;
  const numbers = new Map();
  for (const { code } of job.warnings) numbers.set(code, (numbers.get(code) ?? 0) + 1);
  return [...numbers].map(([code, number]) => html`
    <span class="badge warn">${strings.jobs.code(code)}${number > 1 ? ` × ${number}` : nothing}</span> `);
}

define("job-table", JobTable);
