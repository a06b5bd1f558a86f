/** The dialog of a page's keyboard shortcuts, in which they can be turned off. */

import { ConsoleElement, define, html, signal } from "../element.js";
import { remember, remembered } from "../remember.js";
import { strings } from "../strings.js";

const text = strings.shortcuts;
const KEY = "shortcuts-off";

/** Whether shortcuts of one letter act: speech input may type letters by mistake. */
export const areShortcutsOn = signal(!remembered(KEY));

/** Call the function of the key that was pressed, unless the user types or a dialog is open. `keys`: `{key: function}`. */
export function handleShortcut(event, keys) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(keys, event.key)) return;
  if (event.target.closest?.("input:not([type=checkbox]), select, textarea, [contenteditable]") || document.querySelector("dialog[open]")) return;
  if (!areShortcutsOn.peek() && event.key !== "?") return;
  event.preventDefault();
  keys[event.key]();
}

class ShortcutsHelp extends ConsoleElement {
  static properties = { shortcuts: [] }; // [[keys, what they do]]

  render() {
    return html`
      <dialog aria-labelledby="shortcuts-title" @close=${() => this.remove()}>
        <h2 id="shortcuts-title">${text.title}</h2>
        <dl class="shortcuts">${this.shortcuts.map(([keys, does]) => html`<div><dt>${keys.map((key) => html`<kbd>${key}</kbd> `)}</dt><dd>${does}</dd></div>`)}</dl>
        <label class="check"><input type="checkbox" .checked=${areShortcutsOn.value} @change=${this.#turn}>${text.on}</label>
        <div class="actions end"><button @click=${() => this.querySelector("dialog").close()}>${strings.dialog.close}</button></div>
      </dialog>`;
  }

  rendered() {
    const dialog = this.querySelector("dialog");
    if (!dialog.open) dialog.showModal();
  }

  #turn = ({ target }) => {
    areShortcutsOn.value = target.checked;
    remember(KEY, target.checked ? null : true);
  };
}

define("shortcuts-help", ShortcutsHelp);

/** Show the shortcuts. */
export function showShortcuts(shortcuts) {
  document.body.append(Object.assign(document.createElement("shortcuts-help"), { shortcuts }));
}
