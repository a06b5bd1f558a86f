/** The tenant's webhook endpoints: add, test, disable, resume and delete them. The secret of a new one is shown once. */

import { announce } from "../announce.js";
import { del, get, patch, post } from "../api.js";
import { ConsoleElement, define, html, nothing, signal } from "../element.js";
import { formatTime } from "../format.js";
import { can, session } from "../session.js";
import { strings } from "../strings.js";
import { confirm } from "./confirm-dialog.js";
import "./copy-snippet.js";
import "./error-note.js";

const EVERY_MS = 700;
const KINDS = { enabled: "good", disabled: "", paused: "bad" };
const EVENTS = ["job.completed", "job.failed", "job.cancelled"];
const PATH = "/v1/webhooks/endpoints";
const text = strings.webhooks.endpoints;

class WebhookEndpoints extends ConsoleElement {
  #endpoints = signal(null); // null: not loaded
  #made = signal(null); // the answer with the secret, until the user has stored it
  #error = signal(null);
  #tests = signal({}); // the last test of each endpoint

  connected() {
    this.#load();
  }

  render() {
    const endpoints = this.#endpoints.value;
    return html`
      <section class="card stack" aria-labelledby="endpoints-title">
        <div class="stack-tight">
          <h2 id="endpoints-title">${text.title}</h2>
          <p class="quiet-text">${text.intro}</p>
        </div>
        <error-note .error=${this.#error.value}></error-note>
        ${endpoints?.length ? html`<ul class="endpoints" aria-label=${text.label}>${endpoints.map((one) => this.#endpoint(one))}</ul>` : nothing}
        ${endpoints?.length === 0 ? html`<p class="quiet-text">${text.none}</p>` : nothing}
        ${this.#made.value ? this.#secret(this.#made.value) : can("admin") ? this.#form() : nothing}
      </section>`;
  }

  #endpoint(one) {
    const test = this.#tests.value[one.endpoint_id];
    const name = one.description || one.host;
    return html`
      <li>
        <div class="stack-tight">
          <p><span class="badge ${KINDS[one.state]}">${text.states[one.state]}</span> <strong dir="auto">${name}</strong></p>
          <p class="quiet-text">${one.host} · ${one.events.join(", ")}${one.contents === "transcript" ? ` · ${text.withTranscript}` : ""}</p>
          ${one.paused_at ? html`<p>${text.paused(formatTime(one.paused_at), one.paused_reason)}</p>`
            : one.failing_since ? html`<p>${text.failing(formatTime(one.failing_since))}</p>` : nothing}
          <p role="status">${test ? text.tests[test.state](test.error ?? "") : nothing}</p>
        </div>
        ${can("admin") ? html`
          <div class="actions">
            <button aria-label=${text.testOf(name)} @click=${() => this.#test(one)}>${text.test}</button>
            ${one.state === "enabled"
              ? html`<button aria-label=${text.disableOf(name)} @click=${() => this.#change(one, false)}>${text.disable}</button>`
              : html`<button aria-label=${text.enableOf(name)} @click=${() => this.#change(one, true)}>${one.state === "paused" ? text.resume : text.enable}</button>`}
            <button aria-label=${text.deleteOf(name)} @click=${() => this.#delete(one, name)}>${text.delete}</button>
          </div>` : nothing}
      </li>`;
  }

  #form() {
    if (session.value.auth === "none") return html`<p class="note">${text.noKeys}</p>`;
    return html`
      <details><summary>${text.add}</summary>
        <form class="stack" novalidate @submit=${this.#create}>
          <label class="field">${text.url}<input name="url" type="url" inputmode="url" spellcheck="false" maxlength="2000" placeholder=${text.placeholder}></label>
          <label class="field">${text.description}<input name="description" maxlength="200"></label>
          <fieldset><legend>${text.events}</legend>${EVENTS.map((event) => html`
            <label><input type="checkbox" name="events" value=${event} checked> <code>${event}</code></label>`)}</fieldset>
          <label><input type="checkbox" name="contents" value="transcript"> ${text.contents}</label>
          <div class="actions"><button class="primary">${text.create}</button></div>
        </form>
      </details>`;
  }

  #secret({ secret }) {
    return html`
      <div class="stack-tight" role="status">
        <p><strong>${text.made}</strong></p>
        <copy-snippet .label=${text.secret} .text=${secret}></copy-snippet>
        <div class="actions"><button @click=${() => { this.#made.value = null; }}>${text.done}</button></div>
      </div>`;
  }

  #load = () => this.#guarded(async () => {
    this.#endpoints.value = (await get(PATH, { signal: this.signal })).endpoints;
  });

  #create = async (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    await this.#guarded(async () => {
      this.#made.value = await post(PATH, {
        body: {
          url: form.get("url").trim(),
          description: form.get("description").trim(),
          events: form.getAll("events"),
          contents: form.get("contents") ?? "thin",
        },
      });
      await this.#load();
    });
  };

  #change = (one, enabled) => this.#guarded(async () => {
    await patch(`${PATH}/${one.endpoint_id}`, { body: { enabled } });
    announce(enabled ? text.enabled : text.disabled);
    await this.#load();
  });

  #delete = (one, name) => this.#guarded(async () => {
    if (!await confirm(text.confirm(name))) return;
    await del(`${PATH}/${one.endpoint_id}`);
    await this.#load();
  });

  #test = (one) => this.#guarded(async () => {
    let test = await post(`${PATH}/${one.endpoint_id}/test`);
    this.#note(one, test);
    while (["waiting", "sending"].includes(test.state) && !this.signal.aborted) {
      await new Promise((resolve) => { setTimeout(resolve, EVERY_MS); });
      test = await get(`/v1/webhooks/tests/${test.test_id}`, { signal: this.signal });
      this.#note(one, test);
    }
    await this.#load();
  });

  #note(one, test) {
    this.#tests.value = { ...this.#tests.peek(), [one.endpoint_id]: test };
  }

  async #guarded(action) {
    try {
      this.#error.value = null;
      await action();
    } catch (error) {
      if (error.name !== "AbortError") this.#error.value = error;
    }
  }
}

define("webhook-endpoints", WebhookEndpoints);
