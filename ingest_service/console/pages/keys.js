/** Keys and usage: the tenant's API keys, what it used, and its quotas. */

import { get } from "../api.js";
import { ConsoleElement, define, html, nothing, signal } from "../element.js";
import "../elements/error-note.js";
import "../elements/key-form.js";
import "../elements/key-list.js";
import "../elements/page-header.js";
import "../elements/quota-list.js";
import "../elements/usage-chart.js";
import { can } from "../session.js";
import { strings } from "../strings.js";

const text = strings.keys;

class PageKeys extends ConsoleElement {
  static properties = { params: {} };

  #keys = signal(null);
  #usage = signal(null);
  #queued = signal(undefined);
  #error = signal(null);

  connected() {
    this.#load();
  }

  render() {
    return html`
      <page-header .heading=${text.title}></page-header>
      <div class="stack">
        <error-note .error=${this.#error.value} .retry=${this.#load}></error-note>
        ${this.#keysCard()}
        ${can("admin") ? html`<key-form @changed=${this.#load}></key-form>` : nothing}
        ${can("read") ? this.#usageCards() : html`<p class="quiet-text">${text.usage.needsRead}</p>`}
      </div>`;
  }

  #keysCard() {
    if (!maySeeKeys()) return html`<p class="quiet-text">${text.list.needsAdmin}</p>`;
    return html`
      <section class="card stack" aria-labelledby="keys-title">
        <h2 id="keys-title">${text.list.title}</h2>
        ${this.#keys.value ? html`<key-list .keys=${this.#keys.value} @changed=${this.#load}></key-list>` : nothing}
      </section>`;
  }

  #usageCards() {
    const usage = this.#usage.value;
    return html`
      <section class="card stack" aria-labelledby="usage-title">
        <div class="stack-tight"><h2 id="usage-title">${text.usage.title}</h2><p class="quiet-text">${text.usage.intro}</p></div>
        ${usage ? html`<usage-chart .days=${usage.days}></usage-chart>` : nothing}
      </section>
      <section class="card stack" aria-labelledby="quotas-title">
        <div class="stack-tight"><h2 id="quotas-title">${text.quotas.title}</h2><p class="quiet-text">${text.quotas.intro}</p></div>
        ${usage ? html`<quota-list .quotas=${usage.quotas} .used=${this.#used(usage)}></quota-list>` : nothing}
      </section>`;
  }

  #used({ days }) {
    const today = days.find(({ day }) => day === new Date().toISOString().slice(0, 10));
    return { bytes_a_day: today?.bytes ?? 0, audio_seconds_a_day: today?.audio_seconds ?? 0, jobs_queued: this.#queued.value };
  }

  #load = async () => {
    this.#error.value = null;
    await Promise.all([maySeeKeys() && this.#loadKeys(), can("read") && this.#loadUsage()]).catch((error) => {
      if (error.name !== "AbortError") this.#error.value = error;
    });
  };

  async #loadKeys() {
    this.#keys.value = (await get("/v1/keys", { signal: this.signal })).keys;
  }

  async #loadUsage() {
    const { signal: abort } = this;
    const [usage, { counts }] = await Promise.all([get("/v1/usage", { signal: abort }), get("/v1/jobs/counts", { query: { status: "QUEUED" }, signal: abort })]);
    this.#usage.value = usage;
    this.#queued.value = counts.QUEUED ?? 0;
  }
}

const maySeeKeys = () => can("admin") || can("observe");

define("page-keys", PageKeys);
