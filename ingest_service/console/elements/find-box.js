/** `<find-box>`: finds text in the transcript: an input, the number of matches, next and previous. */

import { ConsoleElement, define, html, signal } from "../element.js";
import { strings } from "../strings.js";
import { icon } from "./icons.js";

/**
 * Properties: `count`, `current` (from 0). Events: `find-text` `{text}`, `find-step` `{step: 1 | -1}`, `find-closed`.
 * Method: `start()` puts the focus into it.
 */
export class FindBox extends ConsoleElement {
  static properties = { count: 0, current: -1 };

  #text = signal("");

  /** What to find. */
  get text() {
    return this.#text.peek();
  }

  /** Take the focus, ready for another text. */
  start() {
    this.querySelector("input").select();
  }

  render() {
    const text = strings.job.find;
    const hasText = Boolean(this.#text.value.trim());
    return html`
      <div class="find-box" role="search" @keydown=${(event) => this.#key(event)}>
        <input type="text" dir="auto" spellcheck="false" autocomplete="off" aria-label=${text.label} placeholder=${text.label}
          @input=${(event) => this.#typed(event.target.value)}>
        <span class="find-count small quiet-text" role="status">${hasText ? text.count(this.current + 1, this.count) : ""}</span>
        <button type="button" class="quiet" aria-label=${text.previous} title=${text.previous} ?disabled=${!this.count}
          @click=${() => this.emit("find-step", { step: -1 })}><span class="turned-up">${icon("chevron")}</span></button>
        <button type="button" class="quiet" aria-label=${text.next} title=${text.next} ?disabled=${!this.count}
          @click=${() => this.emit("find-step", { step: 1 })}><span class="turned-down">${icon("chevron")}</span></button>
        <button type="button" class="quiet" aria-label=${text.close} title=${text.close}
          @click=${() => this.emit("find-closed")}>${icon("close")}</button>
      </div>`;
  }

  #typed(text) {
    this.#text.value = text;
    this.emit("find-text", { text });
  }

  #key(event) {
    if (event.key === "Escape") this.emit("find-closed");
    else if (event.key === "Enter" && event.target.matches("input")) this.emit("find-step", { step: event.shiftKey ? -1 : 1 });
    else return;
    event.preventDefault();
  }
}

define("find-box", FindBox);
