/** Sign in: paste a key. */

import { signIn } from "../account.js";
import { ConsoleElement, define, html, nothing, signal } from "../element.js";
import { icon } from "../elements/icons.js";
import "../elements/page-header.js";
import "../elements/error-note.js";
import { strings } from "../strings.js";

const text = strings.signIn;

class PageSignIn extends ConsoleElement {
  static properties = { params: {} };

  #error = signal(null);
  #isBusy = signal(false);
  #isShown = signal(false);

  render() {
    return html`
      <form class="sign-in" @submit=${this.#submit}>
        <div class="brand">${icon("logo")}<span>${strings.app.name}</span></div>
        <page-header .heading=${text.title} .intro=${text.intro}></page-header>
        <input type="text" name="username" autocomplete="username" value=${strings.app.name} hidden>
        <label for="key">${text.key}</label>
        <input id="key" name="key" type=${this.#isShown.value ? "text" : "password"} placeholder=${text.placeholder}
          autocomplete="current-password" spellcheck="false" autocapitalize="off" aria-describedby="key-help"
          aria-invalid=${this.#error.value !== null}>
        <label class="check"><input type="checkbox" @change=${(event) => { this.#isShown.value = event.target.checked; }}>${text.show}</label>
        ${this.#error.value ? html`<error-note .error=${this.#error.value}></error-note>` : nothing}
        <button class="primary" ?disabled=${this.#isBusy.value}>${text.submit}</button>
        <p id="key-help" class="quiet-text small">${text.help} <code>${text.command}</code></p>
      </form>`;
  }

  #submit = async (event) => {
    event.preventDefault();
    const key = new FormData(event.target).get("key").trim();
    this.#error.value = key ? null : new Error(text.empty);
    if (!key) return this.#focus();
    this.#isBusy.value = true;
    try {
      await signIn(key);
    } catch (error) {
      this.#error.value = error;
      this.#focus();
    } finally {
      this.#isBusy.value = false;
    }
  };

  #focus() {
    this.querySelector("#key").focus();
  }
}

define("page-sign-in", PageSignIn);
