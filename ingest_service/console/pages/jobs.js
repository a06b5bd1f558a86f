/** The list of jobs: tabs by status, filters in the address, live states, selection, and actions on many jobs. */

import { announce } from "../announce.js";
import { changeJobs, refusalsByCode } from "../jobs/change-jobs.js";
import { computed, ConsoleElement, define, html, nothing, signal } from "../element.js";
import { confirm } from "../elements/confirm-dialog.js";
import "../elements/empty-state.js";
import "../elements/error-note.js";
import "../elements/job-filters.js";
import "../elements/job-table.js";
import "../elements/page-header.js";
import "../elements/text-search.js";
import { handleShortcut, showShortcuts } from "../elements/shortcuts-help.js";
import { formatNumber } from "../format.js";
import { addressOf, bulkFilter, countFor, readFilter, STATUSES, withField } from "../jobs/job-filter.js";
import { JobList } from "../jobs/job-list.js";
import { navigate, route } from "../router.js";
import { can } from "../session.js";
import { strings } from "../strings.js";

const text = strings.jobs;
const ACTIONS = [
  { name: "cancel", scope: "submit", isDangerous: true },
  { name: "redrive", scope: "admin", isDangerous: false },
  { name: "erase", scope: "submit", isDangerous: true },
];

class PageJobs extends ConsoleElement {
  static properties = { params: {} };

  #filter = computed(() => readFilter(route.value.query));
  #cursor = computed(() => route.value.query.get("cursor"));
  #selected = signal(new Set());
  #isEverything = signal(false); // actions are for all jobs of the filter
  #work = signal(null); // {action, done}: an action that runs
  #result = signal(null); // {action, changed, refused}
  #error = signal(null);
  #list = null;
  #isSearchable = false;
  #trail = []; // the addresses of the pages before, as the user went on

  connected() {
    this.#list = new JobList();
    this.watch(() => {
      if (route.value.page !== "jobs") return;
      this.#list.open(this.#filter.value, this.#cursor.value);
    });
    document.addEventListener("keydown", (event) => handleShortcut(event, this.#keys), { signal: this.signal });
  }

  disconnected() {
    this.#list.close();
  }

  render() {
    const list = this.#list;
    const help = html`<button class="quiet help-button" @click=${this.#help}>${text.shortcuts}</button>`;
    return html`
      <page-header .heading=${text.title} .actions=${help}></page-header>
      ${this.#tabs(list.counts.value)}
      <job-filters .filter=${this.#filter.value} @filtered=${(event) => this.#show(event.detail, true)}></job-filters>
      ${this.#hasTexts() ? html`<text-search></text-search>` : nothing}
      <error-note .error=${this.#error.value ?? list.error.value} .retry=${this.#error.value ? null : () => list.load()}></error-note>
      ${resultNote(this.#result.value)}
      ${this.#toolbar()}
      <div aria-busy=${list.isLoading.value}>${this.#content(list.jobs.value)}</div>
      ${this.#pager()}`;
  }

  #tabs(counts) {
    const filter = this.#filter.value;
    return html`
      <nav class="tabs" aria-label=${text.tabs}><ul>
        ${["", ...STATUSES].map((status) => html`
          <li><a href=${addressOf(withField(filter, "status", status))} aria-current=${(filter.status ?? "") === status ? "page" : nothing}>
            ${status ? strings.status[status] : text.all}
            <span class="count">${counts ? numberOf(status ? counts.counts[status] : counts.total, counts) : nothing}</span></a></li>`)}
      </ul></nav>`;
  }

  #toolbar() {
    const allowed = ACTIONS.filter(({ scope }) => can(scope));
    const selected = this.#selected.value.size;
    if (!allowed.length || !(selected || this.#isEverything.value || this.#work.value)) return nothing;
    const matched = this.#matched();
    return html`
      <div class="selection" role="region" aria-label=${text.selection}>
        <p role="status">${this.#work.value ? text.working(this.#work.value) : text.selected(this.#isEverything.value ? matched : selected)}</p>
        ${!this.#isEverything.value && matched > selected
          ? html`<button class="link" @click=${() => { this.#isEverything.value = true; }}>${text.selectMatching(formatNumber(matched))}</button>` : nothing}
        <div class="actions">
          ${allowed.map((action) => html`<button ?disabled=${Boolean(this.#work.value)} @click=${() => this.#act(action)}>${text.actions[action.name].button}</button>`)}
          <button class="quiet" @click=${this.#unselect}>${text.unselect}</button>
        </div>
      </div>`;
  }

  #content(jobs) {
    if (jobs === null) return this.#list.error.value ? nothing : html`<p class="quiet-text">${strings.app.loading}</p>`;
    if (jobs.length) {
      const selected = this.#isEverything.value ? new Set(jobs.map((job) => job.job_id)) : this.#selected.value;
      return html`<job-table .jobs=${jobs} .selected=${selected} .isSelectable=${can("submit") || can("admin")}
        @selected=${(event) => this.#select(event.detail)}></job-table>`;
    }
    if (this.#list.nextCursor.value) return html`<p class="quiet-text">${text.notYet}</p>`;
    if (this.#isFiltered()) {
      return html`<empty-state .icon=${"search"} .heading=${text.nothing} .text=${text.nothingText}
        .action=${html`<a class="button" href="/jobs">${text.filters.clear}</a>`}></empty-state>`;
    }
    return html`<empty-state .icon=${"upload"} .heading=${text.empty} .text=${text.emptyText} .action=${html`<a class="button primary" href="/">${text.upload}</a>`}></empty-state>`;
  }

  #pager() {
    const next = this.#list.nextCursor.value;
    if (!next && !this.#cursor.value) return nothing;
    const label = this.#list.jobs.value?.length ? text.older : text.search;
    return html`
      <nav class="pager" aria-label=${text.pages}>
        ${this.#cursor.value ? html`<a class="button" href=${addressOf(this.#filter.value)} @click=${() => { this.#trail = []; }}>${text.newest}</a>` : nothing}
        ${this.#trail.length ? html`<button @click=${this.#previous}>${text.newer}</button>` : nothing}
        ${next ? html`<button @click=${this.#next}>${label}</button>` : nothing}
      </nav>`;
  }

  /** Whether a job in sight is searchable: then the search is shown, and stays. */
  #hasTexts() {
    this.#isSearchable ||= this.#list.jobs.value?.some((job) => job.options?.searchable) ?? false;
    return this.#isSearchable;
  }

  #isFiltered() {
    return Boolean(Object.keys(this.#filter.value).length || this.#cursor.value);
  }

  /** How many jobs the filter matches, with its status. */
  #matched() {
    const counts = this.#list.counts.value;
    const { status } = this.#filter.value;
    return (status ? counts?.counts[status] : counts?.total) ?? 0;
  }

  #show(filter, replace = false) {
    this.#trail = [];
    this.#unselect();
    navigate(addressOf(filter), { replace });
  }

  #next = () => {
    if (!this.#list.nextCursor.value) return;
    this.#trail = [...this.#trail, addressOf(this.#filter.value, this.#cursor.value)];
    navigate(addressOf(this.#filter.value, this.#list.nextCursor.value));
    scrollTo(0, 0);
  };

  #previous = () => {
    if (!this.#trail.length) return;
    navigate(this.#trail.at(-1));
    this.#trail = this.#trail.slice(0, -1);
    scrollTo(0, 0);
  };

  #select(ids) {
    this.#isEverything.value = false;
    this.#selected.value = ids;
  }

  #unselect = () => this.#select(new Set());

  async #act({ name, isDangerous }) {
    const words = text.actions[name];
    const ids = [...this.#selected.value];
    const isEverything = this.#isEverything.value;
    const filter = this.#filter.value;
    const counts = this.#list.counts.value;
    const number = isEverything ? countFor(name, filter, counts) : ids.length;
    const shown = isEverything && !counts.complete ? text.atLeast(formatNumber(number)) : formatNumber(number);
    if (!number) return announce(words.none);
    const isSure = await confirm({ heading: words.heading(shown), text: words.text, action: words.confirm(shown), dismiss: text.goBack, isDangerous });
    if (isSure) await this.#change(name, isEverything ? bulkFilter(name, filter) : { job_ids: ids });
  }

  async #change(action, filter) {
    this.#result.value = this.#error.value = null;
    this.#work.value = { action, done: 0 };
    try {
      const onProgress = ({ matched }) => { this.#work.value = { action, done: matched }; };
      const result = await changeJobs({ action, filter, onProgress, signal: this.signal });
      this.#result.value = { action, ...result };
      this.#unselect();
    } catch (error) {
      this.#error.value = error;
    } finally {
      this.#work.value = null;
      if (this.isConnected) await this.#list.load();
    }
  }

  #help = () => showShortcuts(text.keys);

  #keys = {
    j: () => this.querySelector("job-table")?.move(1),
    k: () => this.querySelector("job-table")?.move(-1),
    x: () => this.querySelector("job-table")?.toggle(),
    n: () => this.#next(),
    p: () => this.#previous(),
    "/": () => this.querySelector("job-filters").focusSearch(),
    "?": () => this.#help(),
    Escape: () => this.#unselect(),
  };
}

const numberOf = (number, { complete }) => (complete ? formatNumber(number) : text.atLeast(formatNumber(number)));

/** What an action did, and why it could not change some of the jobs. */
function resultNote(result) {
  if (!result) return nothing;
  const refusals = refusalsByCode(result.refused);
  return html`
    <div class=${refusals.length ? "note warn" : "note"} role="status"><div>
      <p><strong>${text.actions[result.action].done(formatNumber(result.changed))}</strong></p>
      ${refusals.map(([code, number]) => html`<p>${text.refused(formatNumber(number), text.refusals[code] ?? text.code(code))}</p>`)}
    </div></div>`;
}

define("page-jobs", PageJobs);
