/** Rotate the secret that signs a tenant's webhooks. The new one is shown once. */

import { post } from "../api.js";
import { ConsoleElement, define, html, nothing, signal } from "../element.js";
import { formatTime } from "../format.js";
import { can, session } from "../session.js";
import { strings } from "../strings.js";
import { confirm } from "./confirm-dialog.js";
import "./copy-snippet.js";
import "./error-note.js";

const DAY_S = "86400";
const text = strings.webhooks.secret;

class WebhookSecret extends ConsoleElement {
  #made = signal(null); // the answer with the secret, until the user has stored it
  #error = signal(null);
  #previousValid = signal(DAY_S);

  render() {
    return html`
      <section class="card stack" aria-labelledby="secret-title">
        <div class="stack-tight">
          <h2 id="secret-title">${text.title}</h2>
          <p class="quiet-text">${text.intro}</p>
        </div>
        <error-note .error=${this.#error.value}></error-note>
        ${this.#made.value ? this.#secret(this.#made.value) : this.#form()}
      </section>`;
  }

  #form() {
    if (session.value.auth === "none") return html`<p class="note">${text.noKeys}</p>`;
    if (!can("admin")) return html`<p class="quiet-text">${text.needsAdmin}</p>`;
    return html`
      <form class="one-line" @submit=${this.#rotate}>
        <label class="field">${text.previous}<select @change=${(event) => { this.#previousValid.value = event.target.value; }}>
          ${Object.entries(text.spans).map(([value, words]) => html`
            <option value=${value} ?selected=${value === this.#previousValid.value}>${words}</option>`)}
        </select></label>
        <button>${text.rotate}</button>
      </form>`;
  }

  #secret({ secret, previous_valid_until: until }) {
    return html`
      <div class="stack-tight" role="status">
        <p><strong>${text.made}</strong></p>
        <copy-snippet .label=${text.label} .text=${secret}></copy-snippet>
        ${until ? html`<p>${text.until(formatTime(until))}</p>` : nothing}
        <div class="actions"><button @click=${() => { this.#made.value = null; }}>${text.done}</button></div>
      </div>`;
  }

  #rotate = async (event) => {
    event.preventDefault();
    const previous_valid_s = Number(this.#previousValid.peek());
    if (!await confirm(text.confirm(previous_valid_s === 0))) return;
    try {
      this.#error.value = null;
      this.#made.value = await post("/v1/webhooks/secret/rotate", { body: { previous_valid_s } });
    } catch (error) {
      this.#error.value = error;
    }
  };
}

define("webhook-secret", WebhookSecret);
