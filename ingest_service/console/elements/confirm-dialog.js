/** Ask before something that cannot be undone. */

import { ConsoleElement, define, html, nothing } from "../element.js";
import { strings } from "../strings.js";

class ConfirmDialog extends ConsoleElement {
  static properties = { heading: "", text: "", action: "", dismiss: strings.dialog.cancel, isDangerous: true, content: nothing };

  render() {
    return html`
      <dialog aria-labelledby="confirm-title" aria-describedby="confirm-text" @close=${this.#closed}>
        <h2 id="confirm-title" dir="auto">${this.heading}</h2>
        <p id="confirm-text" dir="auto">${this.text}</p>
        ${this.content}
        <div class="actions end">
          <button @click=${() => this.#dialog.close("")}>${this.dismiss}</button>
          <button class=${this.isDangerous ? "danger" : "primary"} @click=${() => this.#dialog.close("yes")}>${this.action}</button>
        </div>
      </dialog>`;
  }

  rendered() {
    if (!this.#dialog.open) this.#dialog.showModal();
  }

  get #dialog() {
    return this.querySelector("dialog");
  }

  #closed = () => this.emit("answered", this.#dialog.returnValue === "yes");
}

define("confirm-dialog", ConfirmDialog);

/**
 * Ask, and resolve to whether the user agreed. `action` is the word on the button, such as "Erase 12 jobs"; `content`, a
 * template, may add to the text; `dismiss` is the word on the other button.
 */
export function confirm({ heading, text, action, dismiss = strings.dialog.cancel, isDangerous = true, content = nothing }) {
  const properties = { heading, text, action, dismiss, isDangerous, content };
  const element = Object.assign(document.createElement("confirm-dialog"), properties);
  return new Promise((resolve) => {
    element.addEventListener("answered", (event) => {
      element.remove();
      resolve(event.detail);
    });
    document.body.append(element);
  });
}
