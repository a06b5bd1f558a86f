/** `<job-origin>`: the request that made a job, as curl and as Python, its options and its metadata. */

import { ConsoleElement, define, html, nothing, signal } from "../element.js";
import { snippetsOf } from "../job/snippets.js";
import { session } from "../session.js";
import { strings } from "../strings.js";
import "./copy-snippet.js";

const LANGUAGES = ["curl", "python"];

/** Properties: `job`, `hasWebhook`. */
export class JobOrigin extends ConsoleElement {
  static properties = { job: null, hasWebhook: false };

  #language = signal("curl");

  render() {
    if (!this.job) return nothing;
    const text = strings.job.origin;
    const { filename, audio, options, metadata } = this.job;
    const needsKey = session.value?.auth !== "none";
    const snippets = snippetsOf({
      origin: location.origin, filename, format: audio.format, options, metadata, needsKey, hasWebhook: this.hasWebhook,
    });
    return html`
      <div class="stack-tight">
        <fieldset class="segmented"><legend class="visually-hidden">${text.language}</legend>
          ${LANGUAGES.map((name) => html`<label><input type="radio" name="origin-language" .checked=${this.#language.value === name}
            @change=${() => { this.#language.value = name; }}><span>${text[name]}</span></label>`)}</fieldset>
        <copy-snippet .text=${snippets[this.#language.value]} .label=${text.snippet(text[this.#language.value])}></copy-snippet>
        ${needsKey || this.hasWebhook ? html`<p class="small quiet-text">${text.variables(needsKey, this.hasWebhook)}</p>` : nothing}
      </div>`;
  }
}

define("job-origin", JobOrigin);
