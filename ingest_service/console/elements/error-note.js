/** What went wrong, in the words of the API, and a button to try again. */

import { ConsoleElement, define, html, nothing } from "../element.js";
import { strings } from "../strings.js";
import { apiText } from "./api-text.js";
import { icon } from "./icons.js";

class ErrorNote extends ConsoleElement {
  static properties = {
    error: null, // an ApiError, another Error, or null: shows nothing
    heading: "", // instead of the error's title
    retry: null, // a function: shows the button
  };

  render() {
    if (!this.error) return nothing;
    const { title, detail, code, message } = this.error;
    return html`
      <div class="note bad" role="alert">
        ${icon("alert")}
        <div>
          <p><strong>${this.heading || title || apiText(message)}</strong></p>
          ${detail || this.heading ? html`<p dir="auto">${apiText(detail || message)}</p>` : nothing}
          ${code ? html`<p class="quiet-text"><code>${code}</code></p>` : nothing}
          ${this.retry ? html`<button @click=${this.retry}>${strings.errors.retry}</button>` : nothing}
        </div>
      </div>`;
  }
}

define("error-note", ErrorNote);
