/** Code that verifies the signature of an event, in the reader's language. */

import { ConsoleElement, define, html, signal } from "../element.js";
import { remember, remembered } from "../remember.js";
import { strings } from "../strings.js";
import { SNIPPETS } from "../webhooks/snippets.js";
import "./copy-snippet.js";

const KEY = "snippet-language";
const text = strings.webhooks.verify;

class WebhookVerify extends ConsoleElement {
  #language = signal(remembered(KEY) in SNIPPETS ? remembered(KEY) : "python");

  render() {
    const language = this.#language.value;
    return html`
      <section class="card stack" aria-labelledby="verify-title">
        <div class="stack-tight">
          <h2 id="verify-title">${text.title}</h2>
          <p class="quiet-text">${text.intro}</p>
        </div>
        <fieldset class="segmented">
          <legend class="visually-hidden">${text.language}</legend>
          ${Object.keys(SNIPPETS).map((name) => html`
            <label><input type="radio" name="language" .checked=${name === language} @change=${() => this.#choose(name)}>
              <span>${text.languages[name]}</span></label>`)}
        </fieldset>
        <copy-snippet .label=${text.label(text.languages[language])} .text=${SNIPPETS[language]}></copy-snippet>
        <p class="small quiet-text">${text.notes[language]}</p>
      </section>`;
  }

  #choose(name) {
    this.#language.value = name;
    remember(KEY, name);
  }
}

define("webhook-verify", WebhookVerify);
