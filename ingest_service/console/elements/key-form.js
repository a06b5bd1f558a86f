/** Make an API key. It is shown once. */

import { post } from "../api.js";
import { ConsoleElement, define, html, signal } from "../element.js";
import { session } from "../session.js";
import { strings } from "../strings.js";
import "./copy-snippet.js";
import "./error-note.js";

const COMMAND = "make api-key TENANT=acme SCOPES=submit,read EXPIRES_DAYS=90";
const PURPOSE = "[A-Za-z0-9][A-Za-z0-9._\\-]{0,62}";
const text = strings.keys.make;

/** Event: `changed`, after a key was made. */
class KeyForm extends ConsoleElement {
  #made = signal(null); // the answer with the key, until the user has stored it
  #error = signal(null);
  #isBusy = signal(false);

  render() {
    return html`
      <section class="card stack" aria-labelledby="make-title">
        <h2 id="make-title">${text.title}</h2>
        ${session.value.auth === "none" ? noKeys() : this.#made.value ? this.#key(this.#made.value) : this.#form()}
      </section>`;
  }

  #form() {
    return html`
      <form class="key-form" @submit=${this.#submit}>
        <div class="field">
          <label for="purpose">${text.purpose}</label>
          <input id="purpose" name="purpose" required pattern=${PURPOSE} maxlength="63" spellcheck="false" autocapitalize="off"
            placeholder=${text.purposePlaceholder} aria-describedby="purpose-help">
          <p id="purpose-help" class="small quiet-text">${text.purposeHelp}</p>
        </div>
        <fieldset class="stack-tight">
          <legend>${text.scopes}</legend>
          ${Object.entries(text.scope).map(([name, words]) => html`
            <label class="check"><input type="checkbox" name="scopes" value=${name}><span><code>${name}</code> <span class="quiet-text">${words}</span></span></label>`)}
        </fieldset>
        <label class="field expiry">${text.expires}<select name="expires">
          ${Object.entries(text.spans).map(([days, words]) => html`<option value=${days} ?selected=${days === "90"}>${words}</option>`)}
        </select></label>
        <error-note .error=${this.#error.value}></error-note>
        <div class="actions"><button class="primary" ?disabled=${this.#isBusy.value}>${text.submit}</button></div>
      </form>`;
  }

  #key({ key, purpose }) {
    return html`
      <div class="stack-tight" role="status">
        <p><strong dir="auto">${text.made(purpose)}</strong></p>
        <copy-snippet .label=${text.label} .text=${key}></copy-snippet>
        <div class="actions"><button @click=${() => { this.#made.value = null; }}>${text.done}</button></div>
      </div>`;
  }

  #submit = async (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    const scopes = form.getAll("scopes");
    this.#error.value = scopes.length ? null : new Error(text.noScope);
    if (!scopes.length) return;
    this.#isBusy.value = true;
    try {
      const expires_days = form.get("expires") ? Number(form.get("expires")) : null;
      this.#made.value = await post("/v1/keys", { body: { purpose: form.get("purpose"), scopes, expires_days } });
      this.emit("changed");
    } catch (error) {
      this.#error.value = error;
    } finally {
      this.#isBusy.value = false;
    }
  };
}

const noKeys = () => html`
  <p class="note">${text.noKeys}</p>
  <copy-snippet .label=${text.command} .text=${COMMAND}></copy-snippet>`;

define("key-form", KeyForm);
