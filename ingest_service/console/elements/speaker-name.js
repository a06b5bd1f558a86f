/** `<speaker-name>`: a speaker's name, which a click turns into a field. `<segment-speaker>`: who speaks in a segment. */

import { ConsoleElement, define, html, nothing, signal } from "../element.js";
import { strings } from "../strings.js";

const MOST_CHARS = 100; // as the service has it

/** Properties: `edits` (an EditState), `label`, `readonly`. Event: `speaker-renamed` with `{label, name}`. */
export class SpeakerName extends ConsoleElement {
  static properties = { edits: null, label: "", readonly: true };

  #isEditing = signal(false);
  #takesFocus = ""; // what gets it after the next rendering

  connected() {
    this.classList.add("speaker-name");
  }

  render() {
    const name = this.edits?.speakerName(this.label) ?? this.label;
    if (this.readonly || this.edits?.shown === "machine") return html`<bdi>${name}</bdi>`;
    if (!this.#isEditing.value) {
      return html`<button type="button" class="link" title=${strings.edits.rename} aria-label=${strings.edits.renameOf(name)}
        @click=${this.#open}><bdi>${name}</bdi></button>`;
    }
    return html`<input type="text" dir="auto" autocomplete="off" maxlength=${MOST_CHARS} aria-label=${strings.edits.nameOf(this.label)}
      .value=${name} placeholder=${this.label} @keydown=${this.#key} @blur=${() => this.#close(true)}>`;
  }

  rendered() {
    const node = this.#takesFocus && this.querySelector(this.#takesFocus);
    this.#takesFocus = "";
    if (!node) return;
    node.focus({ preventScroll: true });
    node.select?.();
  }

  #open = () => {
    this.#takesFocus = "input";
    this.#isEditing.value = true;
  };

  #key = (event) => {
    event.stopPropagation(); // the page's keys are not the field's
    if (event.isComposing || !["Enter", "Escape"].includes(event.key)) return;
    event.preventDefault();
    this.#takesFocus = "button";
    this.#close(event.key === "Enter");
  };

  #close(isSaved) {
    if (!this.#isEditing.peek()) return;
    const name = this.querySelector("input").value;
    this.#isEditing.value = false;
    if (!isSaved || name === this.edits.speakerName(this.label)) return;
    this.edits.renameSpeaker(this.label, name);
    this.emit("speaker-renamed", { label: this.label, name: this.edits.speakerName(this.label) });
  }
}

const ADD = "+"; // the value of the last option

/** Properties: `edits`, `segment` (its id), `label` (the engine's), `labels` (all of the engine), `readonly`. */
export class SegmentSpeaker extends ConsoleElement {
  static properties = { edits: null, segment: 0, label: null, labels: [], readonly: true };

  render() {
    const current = this.edits.segmentSpeaker(this.segment, this.label) ?? "";
    const labels = [...new Set([...this.labels, ...this.edits.newLabels])];
    return html`
      <select aria-label=${strings.edits.speakerOf} ?disabled=${this.readonly || this.edits.shown === "machine"} @change=${this.#change}>
        ${current ? nothing : html`<option value="" selected></option>`}
        ${labels.map((label) => html`<option value=${label} ?selected=${label === current}>${this.edits.speakerName(label)}</option>`)}
        <option value=${ADD}>${strings.edits.newSpeaker}</option>
      </select>`;
  }

  #change = (event) => {
    const { value } = event.target;
    if (value === ADD) this.edits.addSpeaker(this.segment, strings.edits.newSpeakerName(this.edits.newLabels.length + 1));
    else this.edits.setSegmentSpeaker(this.segment, this.label, value);
  };
}

define("speaker-name", SpeakerName);
define("segment-speaker", SegmentSpeaker);
