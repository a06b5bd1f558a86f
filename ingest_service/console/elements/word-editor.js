/** `<word-editor>`: a field in place of a word. Enter saves, Escape cancels, Tab and Shift-Tab save and go on to the next word. */

import { ConsoleElement, define, html } from "../element.js";
import { strings } from "../strings.js";

const MOST_CHARS = 200; // as the service has it
const LEAST_COLUMNS = 4;

/** Properties: `text`. Events: `word-saved` with `{text, next}` (0, 1 or -1), `word-cancelled`. */
export class WordEditor extends ConsoleElement {
  static properties = { text: "" };

  #isOver = false;

  connected() {
    this.#isOver = false;
    this.classList.add("word-editor");
  }

  render() {
    return html`<input type="text" dir="auto" autocomplete="off" autocapitalize="off" spellcheck="true" maxlength=${MOST_CHARS}
      aria-label=${strings.edits.word(this.text)} aria-description=${strings.edits.wordKeys} .value=${this.text}
      size=${columns(this.text)} @input=${grow} @keydown=${this.#key} @blur=${this.#blur}>`;
  }

  rendered() {
    if (this.contains(document.activeElement)) return;
    this.#input.focus({ preventScroll: true });
    this.#input.select();
  }

  get #input() {
    return this.querySelector("input");
  }

  #key = (event) => {
    if (event.isComposing) return; // Enter and Escape belong to the input method
    const next = { Enter: 0, Tab: event.shiftKey ? -1 : 1 }[event.key];
    if (next === undefined && event.key !== "Escape") return event.stopPropagation(); // arrows and letters are the field's
    event.preventDefault();
    event.stopPropagation();
    if (event.key === "Escape") this.#end("word-cancelled");
    else this.#end("word-saved", { text: this.#input.value, next });
  };

  #blur = () => {
    const { value } = this.#input;
    if (value === this.text) this.#end("word-cancelled");
    else this.#end("word-saved", { text: value, next: 0 });
  };

  /** The field loses the focus when the page removes it: that is no second end. */
  #end(type, detail) {
    if (this.#isOver) return;
    this.#isOver = true;
    this.emit(type, detail);
  }
}

/** Full-width characters take two columns. */
function columns(text) {
  const wide = text.match(/[\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7af\uf900-\ufaff\uff00-\uff60]/gu)?.length ?? 0;
  return Math.max(LEAST_COLUMNS, text.length + wide);
}

function grow(event) {
  event.target.size = columns(event.target.value);
}

define("word-editor", WordEditor);
