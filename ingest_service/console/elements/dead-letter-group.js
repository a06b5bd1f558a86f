/** The dead letters of one failure code: what they mean, how many, and, when opened, each of them. */

import { announce } from "../announce.js";
import { del, get, post } from "../api.js";
import { ConsoleElement, define, html, nothing, signal } from "../element.js";
import { formatAge, formatNumber, formatTime } from "../format.js";
import { strings } from "../strings.js";
import { confirm } from "./confirm-dialog.js";
import "./error-note.js";

const PAGE = 50;
const text = strings.deadLetters;

/** Event: `changed`, after dead letters were redriven or discarded. */
class DeadLetterGroup extends ConsoleElement {
  static properties = {
    group: null, // of GET /v1/dead-letters/counts
    tenant: "", // "*": all tenants; "": the caller's
    canChange: false,
    isOpen: false,
  };

  #letters = signal([]);
  #cursor = signal(undefined); // undefined: nothing is loaded; null: no more pages
  #busy = signal("");
  #error = signal(null);

  #shown = ""; // the tenant and code of the letters

  connected() {
    this.watch(() => {
      const shown = `${this.tenant} ${this.group.code}`;
      if (shown !== this.#shown) {
        this.#shown = shown;
        this.#letters.value = [];
        this.#cursor.value = undefined;
      }
      if (this.isOpen && this.#cursor.peek() === undefined) this.#load();
    });
  }

  render() {
    const { code, dead_letters, jobs, tenants, oldest_at, last_message } = this.group;
    return html`
      <section class="card stack-tight" aria-labelledby=${`code-${code}`}>
        <div class="group-head">
          <div>
            <h2 id=${`code-${code}`}><code>${code}</code></h2>
            <p>${strings.failures[code] ?? text.unknownCode}</p>
          </div>
          <p class="group-count"><strong>${formatNumber(dead_letters)}</strong></p>
        </div>
        <p class="small quiet-text">${text.jobCount(formatNumber(jobs))}
          ${this.tenant === "*" ? html`${text.tenantCount(formatNumber(tenants))}` : nothing}
          · <time datetime=${oldest_at} title=${formatTime(oldest_at)}>${text.oldest(formatAge(oldest_at))}</time></p>
        <p class="small"><span class="quiet-text">${text.last}:</span> <span dir="auto">${last_message}</span></p>
        <error-note .error=${this.#error.value}></error-note>
        ${this.canChange ? this.#actions(code) : nothing}
        <details ?open=${this.isOpen} @toggle=${(event) => { this.isOpen = event.target.open; }}>
          <summary aria-label=${text.ofCode(text.show, code)}>${text.show}</summary>
          ${this.isOpen ? this.#list(code) : nothing}
        </details>
      </section>`;
  }

  #actions(code) {
    const isBusy = this.#busy.value !== "";
    return html`
      <div class="actions">
        <button ?disabled=${isBusy} aria-label=${text.ofCode(text.redriveAll, code)} @click=${this.#redriveAll}>
          ${this.#busy.value === "redrive" ? text.busy : text.redriveAll}</button>
        <button class="quiet" ?disabled=${isBusy} aria-label=${text.ofCode(text.discardAll, code)} @click=${this.#discardAll}>
          ${this.#busy.value === "discard" ? text.busy : text.discardAll}</button>
      </div>`;
  }

  #list(code) {
    return html`
      <ul class="letters" aria-label=${text.listLabel(code)}>${this.#letters.value.map((letter) => this.#letter(letter))}</ul>
      ${this.#cursor.value ? html`<button class="quiet" @click=${() => this.#load()}>${text.more}</button>` : nothing}`;
  }

  #letter(letter) {
    return html`
      <li class="stack-tight">
        <div class="letter-head">
          <p><a href=${`/jobs/${letter.job_id}`}><code>${letter.job_id}</code></a>
            ${this.tenant === "*" ? html`<span class="badge" dir="auto">${letter.tenant}</span>` : nothing}</p>
          ${this.canChange ? this.#letterActions(letter) : nothing}
        </div>
        ${letter.message === this.group.last_message ? nothing : html`<p dir="auto">${letter.message}</p>`}
        <p class="small quiet-text">${text.task(letter.task_kind, letter.ordinal)} · ${text.attempts(letter.attempts)} ·
          <time datetime=${letter.last_failed_at} title=${formatTime(letter.last_failed_at)}>${text.failedAt(formatAge(letter.last_failed_at))}</time></p>
        ${letter.traceback ? html`<details><summary>${text.traceback}</summary>
          <pre class="traceback" tabindex="0" role="region" aria-label=${text.traceback}>${letter.traceback}</pre></details>` : nothing}
      </li>`;
  }

  #letterActions(letter) {
    const isBusy = this.#busy.value !== "";
    return html`
      <div class="actions">
        <button ?disabled=${isBusy} aria-label=${text.ofJob(text.redrive, letter.job_id)} @click=${() => this.#redrive(letter)}>${text.redrive}</button>
        <button class="quiet" ?disabled=${isBusy} aria-label=${text.ofJob(text.discard, letter.job_id)} @click=${() => this.#discard(letter)}>${text.discard}</button>
      </div>`;
  }

  async #load() {
    const query = { code: this.group.code, tenant: this.tenant, limit: PAGE, cursor: this.#cursor.peek() };
    await this.#run("", async () => {
      const page = await get("/v1/dead-letters", { query, signal: this.signal });
      this.#letters.value = [...this.#letters.peek(), ...page.dead_letters];
      this.#cursor.value = page.next_cursor;
    });
  }

  #redriveAll = async () => {
    const { code, dead_letters } = this.group;
    if (!await confirm(text.confirmRedrive(formatNumber(dead_letters), code))) return;
    await this.#change("redrive", async () => {
      const { redriven } = await post("/v1/dead-letters/redrive", { query: { code, tenant: this.tenant } });
      return text.redriven(formatNumber(redriven));
    });
  };

  #discardAll = async () => {
    const { code, dead_letters } = this.group;
    if (!await confirm(text.confirmDiscard(formatNumber(dead_letters), code))) return;
    await this.#change("discard", async () => {
      const { discarded } = await del("/v1/dead-letters", { query: { code, tenant: this.tenant } });
      return text.discarded(formatNumber(discarded));
    });
  };

  #redrive(letter) {
    return this.#change("one", async () => {
      await post(`/v1/dead-letters/${letter.job_id}/redrive`, { query: { tenant: letter.tenant } });
      this.#forget(letter);
      return text.jobRedriven;
    });
  }

  async #discard(letter) {
    if (!await confirm(text.confirmDiscardOne(letter.job_id))) return;
    await this.#change("one", async () => {
      await del(`/v1/dead-letters/${letter.job_id}`, { query: { tenant: letter.tenant } });
      this.#forget(letter);
      return text.jobDiscarded;
    });
  }

  #forget(letter) {
    this.#letters.value = this.#letters.peek().filter((one) => one.job_id !== letter.job_id);
  }

  async #change(name, action) {
    await this.#run(name, async () => announce(await action()));
    this.emit("changed");
  }

  async #run(name, action) {
    this.#busy.value = name;
    this.#error.value = null;
    try {
      await action();
    } catch (error) {
      if (error.name !== "AbortError") this.#error.value = error;
    } finally {
      this.#busy.value = "";
    }
  }
}

define("dead-letter-group", DeadLetterGroup);
