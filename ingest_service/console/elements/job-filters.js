/** The fields by which jobs are filtered. Emits `filtered` with the new filter. */

import { ConsoleElement, define, html, nothing } from "../element.js";
import { apiTime, localTime, WARNINGS, withField } from "../jobs/job-filter.js";
import { strings } from "../strings.js";
import { icon } from "./icons.js";

const text = strings.jobs.filters;
const TYPING_MS = 300;
const IN_DETAILS = ["created_after", "created_before", "metadata_key", "metadata_value", "min_speakers", "max_speakers", "warning", "code"];

class JobFilters extends ConsoleElement {
  static properties = { filter: {} };

  #timer = 0;

  render() {
    const more = IN_DETAILS.filter((name) => this.filter[name]).length;
    return html`
      <form class="job-filters" role="search" aria-label=${text.label} @submit=${this.#submit} @change=${this.#changed} @input=${this.#typed}>
        <div class="search-field">
          ${icon("search")}
          <input type="search" name="filename" aria-label=${text.filename} placeholder=${text.filename} autocomplete="off" dir="auto"
            .value=${this.filter.filename ?? ""}>
        </div>
        <details class="more-filters">
          <summary>${text.more}${more ? html` <span class="badge info">${more}</span>` : nothing}</summary>
          <div class="filter-fields">
            ${this.#time("created_after")} ${this.#time("created_before")}
            ${this.#input("metadata_key")} ${this.#input("metadata_value")}
            ${this.#input("min_speakers", "number")} ${this.#input("max_speakers", "number")}
            ${this.#warning()} ${this.#input("code")}
          </div>
        </details>
        ${more || this.filter.filename ? html`<button type="button" class="quiet" @click=${this.#clear}>${text.clear}</button>` : nothing}
      </form>`;
  }

  disconnected() {
    clearTimeout(this.#timer);
  }

  /** Put the cursor into the field of the file name. */
  focusSearch() {
    this.querySelector("input[type=search]").select();
    this.querySelector("input[type=search]").focus();
  }

  #input(name, type = "text") {
    return html`
      <label class="field"><span>${text[name]}</span>
        <input type=${type} name=${name} min=${type === "number" ? 0 : nothing} autocomplete="off" dir="auto" .value=${this.filter[name] ?? ""}></label>`;
  }

  #time(name) {
    return html`
      <label class="field"><span>${text[name]}</span>
        <input type="datetime-local" name=${name} .value=${localTime(this.filter[name])}></label>`;
  }

  #warning() {
    return html`
      <label class="field"><span>${text.warning}</span>
        <select name="warning" .value=${this.filter.warning ?? ""}>
          <option value="" ?selected=${!this.filter.warning}>${text.any}</option>
          ${WARNINGS.map((code) => html`<option value=${code} ?selected=${code === this.filter.warning}>${strings.jobs.code(code)}</option>`)}
        </select></label>`;
  }

  #submit = (event) => {
    event.preventDefault();
    const { name, value } = this.querySelector("input[type=search]");
    this.#set(name, value);
  };

  #changed = ({ target }) => {
    this.#set(target.name, target.type === "datetime-local" ? apiTime(target.value) : target.value);
  };

  /** The list follows the typing of a file name; other fields wait until they are left. */
  #typed = ({ target }) => {
    if (target.type !== "search") return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#set(target.name, target.value), TYPING_MS);
  };

  #set(name, value) {
    clearTimeout(this.#timer);
    if ((this.filter[name] ?? "") !== value.trim()) this.emit("filtered", withField(this.filter, name, value.trim()));
  }

  #clear = () => {
    const { status } = this.filter;
    this.emit("filtered", status ? { status } : {});
  };
}

define("job-filters", JobFilters);
