/** Text to copy: a command, a key, code. */

import { announce } from "../announce.js";
import { ConsoleElement, define, html } from "../element.js";
import { strings } from "../strings.js";
import { icon } from "./icons.js";

class CopySnippet extends ConsoleElement {
  static properties = {
    text: "",
    label: "", // what the text is
  };

  render() {
    return html`
      <div class="snippet">
        <pre tabindex="0" role="region" aria-label=${this.label}><code>${this.text}</code></pre>
        <button class="quiet" aria-label=${`${strings.copy.copy}: ${this.label}`} title=${strings.copy.copy} @click=${this.#copy}>${icon("copy")}</button>
      </div>`;
  }

  #copy = async () => {
    if (await copied(this.text)) announce(strings.copy.copied);
    else getSelection().selectAllChildren(this.querySelector("code")); // the user copies it by the keyboard
  };
}

/** Return whether the text is in the clipboard now. The clipboard needs TLS or loopback. */
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

define("copy-snippet", CopySnippet);
