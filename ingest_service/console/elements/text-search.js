/** `<text-search>`: finds words in the transcripts of all searchable jobs. */

import { get } from "../api.js";
import { ConsoleElement, define, html, nothing, signal } from "../element.js";
import { formatClock } from "../format.js";
import { strings } from "../strings.js";
import "./error-note.js";
import { icon } from "./icons.js";

const text = strings.jobs.texts;

export class TextSearch extends ConsoleElement {
  #found = signal(null); // the pages of hits so far: {q, hits, complete, next_cursor}
  #isBusy = signal(false);
  #error = signal(null);

  render() {
    const found = this.#found.value;
    return html`
      <form class="text-search" role="search" @submit=${this.#submit}>
        <div class="search-field">${icon("search")}<input type="search" name="q" dir="auto" maxlength="200" autocomplete="off"
          aria-label=${text.label} placeholder=${text.label}></div>
        <button ?disabled=${this.#isBusy.value}>${text.search}</button>
      </form>
      <error-note .error=${this.#error.value}></error-note>
      <div role="status">${found ? this.#results(found) : nothing}</div>`;
  }

  #results({ hits, complete, next_cursor: next }) {
    return html`
      <p class="quiet-text small">${hits.length ? nothing : text.nothing} ${complete ? nothing : text.incomplete}</p>
      <ol class="text-hits">${hits.map((hit) => html`
        <li><a href="/jobs/${hit.job_id}" dir="auto">${hit.filename ?? hit.job_id}</a>
          <span class="quiet-text small">${formatClock(hit.start)}</span>
          <p dir="auto">${marked(hit)}</p></li>`)}</ol>
      ${next ? html`<button ?disabled=${this.#isBusy.value} @click=${() => this.#load(this.#found.peek().q, next)}>${text.more}</button>` : nothing}`;
  }

  #submit = (event) => {
    event.preventDefault();
    const q = event.target.q.value.trim();
    this.#found.value = null;
    if (q) this.#load(q, null);
  };

  async #load(q, cursor) {
    this.#isBusy.value = true;
    this.#error.value = null;
    try {
      const page = await get("/v1/search", { query: { q, cursor }, signal: this.signal });
      const before = cursor ? this.#found.peek().hits : [];
      this.#found.value = { q, ...page, hits: [...before, ...page.hits] };
    } catch (error) {
      if (error.name !== "AbortError") this.#error.value = error;
    } finally {
      this.#isBusy.value = false;
    }
  }
}

/** The snippet with its highlights, whose places count characters, not UTF-16 units. */
function marked({ snippet, highlights }) {
  const signs = Array.from(snippet);
  let at = 0;
  const parts = highlights.map(([first, last]) => {
    const before = signs.slice(at, first).join("");
    at = last;
    return html`${before}<mark>${signs.slice(first, last).join("")}</mark>`;
  });
  return html`${parts}${signs.slice(at).join("")}`;
}

define("text-search", TextSearch);
