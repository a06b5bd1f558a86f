/** Send a test event to a URL, and see what the endpoint answered. */

import { get, post } from "../api.js";
import { ConsoleElement, define, html, nothing, signal } from "../element.js";
import { formatDuration } from "../format.js";
import { session } from "../session.js";
import { strings } from "../strings.js";
import { testCommand } from "../webhooks/snippets.js";
import "./copy-snippet.js";
import "./error-note.js";

const EVERY_MS = 700;
const PATIENT_MS = 6000; // a processor takes a test within a second
const KINDS = { waiting: "", sending: "info", delivered: "good", failed: "bad" };
const text = strings.webhooks.test;

class WebhookTest extends ConsoleElement {
  #url = signal("");
  #test = signal(null);
  #error = signal(null);
  #isBusy = signal(false);

  render() {
    return html`
      <section class="card stack" aria-labelledby="test-title">
        <div class="stack-tight">
          <h2 id="test-title">${text.title}</h2>
          <p class="quiet-text">${text.intro}</p>
        </div>
        <div>
          <form class="one-line" novalidate @submit=${this.#submit}>
            <label class="field">${text.url}<input name="url" type="url" inputmode="url" spellcheck="false" maxlength="2000" placeholder=${text.placeholder}
              aria-invalid=${this.#error.value !== null} @input=${(event) => { this.#url.value = event.target.value; }}></label>
            <button class="primary" ?disabled=${this.#isBusy.value}>${text.send}</button>
          </form>
          <div class="outcome" aria-live="polite">${this.#test.value ? result(this.#test.value) : nothing}</div>
        </div>
        <error-note .error=${this.#error.value}></error-note>
        <details><summary>${text.command}</summary>
          <copy-snippet .label=${text.command} .text=${testCommand(location.origin, this.#url.value || text.placeholder, session.value.auth !== "none")}></copy-snippet></details>
      </section>`;
  }

  #submit = async (event) => {
    event.preventDefault();
    const url = this.#url.peek().trim();
    this.#test.value = null;
    this.#error.value = url ? null : new Error(text.empty);
    if (!url) return this.querySelector("input").focus();
    this.#isBusy.value = true;
    try {
      this.#test.value = await post("/v1/webhooks/test", { body: { url }, signal: this.signal });
      await this.#follow();
    } catch (error) {
      if (error.name !== "AbortError") this.#error.value = error;
    } finally {
      this.#isBusy.value = false;
    }
  };

  /** Read the test until it has a result. */
  async #follow() {
    const { signal: abort } = this;
    while (["waiting", "sending"].includes(this.#test.peek().state) && !abort.aborted) {
      await new Promise((resolve) => { setTimeout(resolve, EVERY_MS); });
      this.#test.value = await get(`/v1/webhooks/tests/${this.#test.peek().test_id}`, { signal: abort });
    }
  }
}

const result = (test) => html`
  <div class="stack-tight">
    <p><span class="badge ${KINDS[test.state]}">${text.states[test.state]}</span>
      ${text.sentTo(test.host)}${test.status === null ? nothing : html`, ${text.status(test.status)}`}${test.duration_ms === null ? nothing : html`, ${text.took(formatDuration(test.duration_ms / 1000))}`}</p>
    ${test.state === "waiting" && Date.now() - new Date(test.created_at) > PATIENT_MS ? html`<p class="quiet-text">${text.stillWaiting}</p>` : nothing}
    ${test.error ? html`<p dir="auto">${test.error}</p>` : nothing}
    ${test.answer ? html`<pre class="answer" tabindex="0" role="region" dir="auto" aria-label=${text.answerLabel}>${test.answer}</pre>` : nothing}
    ${test.answer === "" && test.status !== null ? html`<p class="quiet-text">${text.emptyAnswer}</p>` : nothing}
  </div>`;

define("webhook-test", WebhookTest);
