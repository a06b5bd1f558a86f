/** `<transcript-edits>`: the bar over a transcript. It shows what is not saved yet, saves it, and lists the versions. */

import { announce } from "../announce.js";
import { ConsoleElement, define, html, nothing, signal } from "../element.js";
import { formatAge, formatTime } from "../format.js";
import { strings } from "../strings.js";
import "./error-note.js";
import { icon } from "./icons.js";
import "./speaker-name.js";
import "./word-editor.js";

const FORMATS = ["txt", "srt", "vtt", "tsv", "rttm", "json"];
const text = strings.edits;

/** Properties: `edits` (an EditState), `readonly`. */
export class TranscriptEdits extends ConsoleElement {
  static properties = { edits: null, readonly: true };

  #error = signal(null);
  #isListOpen = signal(false);

  connected() {
    document.addEventListener("keydown", this.#key, { signal: this.signal });
    addEventListener("beforeunload", (event) => { if (this.edits?.pending) event.preventDefault(); }, { signal: this.signal });
  }

  render() {
    if (!this.edits) return nothing;
    return html`
      <div class="edit-bar">
        ${this.edits.hasEdits ? this.#choice() : nothing}
        <span class="edit-status small quiet-text" role="status">${this.#status()}</span>
        ${this.readonly ? nothing : this.#buttons()}
        ${this.edits.versions.length ? this.#listButton() : nothing}
      </div>
      ${this.edits.conflict ? this.#conflict(this.edits.conflict) : nothing}
      <error-note .heading=${text.failed} .error=${this.#error.value} .retry=${this.readonly ? null : this.#save}></error-note>
      ${this.#isListOpen.value ? this.#list() : nothing}`;
  }

  #choice() {
    const option = (value, label) => html`
      <label><input type="radio" name="edits-shown" .checked=${this.edits.shown === value} @change=${() => this.edits.show(value)}>
        <span>${label}</span></label>`;
    return html`<fieldset class="segmented"><legend class="visually-hidden">${text.shown}</legend>
      ${option("edited", text.corrected)}${option("machine", text.machine)}</fieldset>`;
  }

  #status() {
    const { pending, versions, isSaving } = this.edits;
    if (isSaving) return text.saving;
    if (pending) return text.pending(pending);
    if (!versions.length) return this.readonly ? "" : text.none;
    const [newest] = versions;
    return newest.outdated ? text.outdated : text.saved(newest.version, formatAge(newest.created_at));
  }

  #buttons() {
    const { pending, canUndo, isSaving } = this.edits;
    if (!pending && !canUndo) return nothing;
    return html`
      <button type="button" class="quiet edit-undo" ?disabled=${!canUndo} @click=${() => this.edits.undo()}>${icon("retry")}<span>${text.undo}</span></button>
      <button type="button" class="primary" aria-keyshortcuts="Control+S Meta+S" ?disabled=${!pending || isSaving} @click=${this.#save}>${text.save}</button>`;
  }

  #listButton() {
    return html`<button type="button" class="quiet" aria-expanded=${this.#isListOpen.value} aria-controls="edit-versions"
      @click=${() => { this.#isListOpen.value = !this.#isListOpen.value; }}>${icon("list")}<span>${text.versions(this.edits.versions.length)}</span></button>`;
  }

  #conflict({ collisions, isReplaced }) {
    const choices = html`<div class="actions">
      <button type="button" class="primary" @click=${() => this.#resolve("mine")}>${text.keepMine}</button>
      <button type="button" @click=${() => this.#resolve("theirs")}>${text.dropMine}</button></div>`;
    return html`
      <div class="note warn" role="alert">${icon("alert")}
        <div>
          <p><strong>${isReplaced ? text.replaced : text.conflict}</strong></p>
          <p>${isReplaced ? text.replacedDetail : text.conflictDetail(collisions)}</p>
          ${isReplaced ? html`<button type="button" @click=${() => location.reload()}>${text.reload}</button>` : choices}
        </div>
      </div>`;
  }

  #list() {
    return html`
      <ol class="edit-versions" id="edit-versions" aria-label=${text.list} reversed>
        ${this.edits.versions.map((version, at) => this.#version(version, at === 0))}
        <li><span class="edit-version"><strong>${text.machine}</strong></span>${this.#restore(0, this.edits.exportQuery === "edits=none")}${this.#exports(0, text.machine)}</li>
      </ol>`;
  }

  #version(version, isNewest) {
    const isCurrent = isNewest && !this.edits.pending;
    return html`
      <li class=${version.outdated ? "outdated" : ""}>
        <span class="edit-version"><strong>${text.version(version.version)}</strong>
          <time datetime=${version.created_at} title=${formatTime(version.created_at)}>${formatAge(version.created_at)}</time>
          <span class="quiet-text">${text.changes(version.changes)}</span>
          ${version.author ? html`<span class="quiet-text">${text.author} <code>${version.author}</code></span>` : nothing}
          ${version.outdated ? html`<span class="badge warn" title=${text.outdatedDetail}>${text.outdatedBadge}</span>` : nothing}
        </span>
        ${version.outdated ? nothing : html`${this.#restore(version.version, isCurrent)}${this.#exports(version.version, text.version(version.version))}`}
      </li>`;
  }

  #restore(version, isCurrent) {
    if (this.readonly || isCurrent) return nothing;
    const label = version ? text.version(version) : text.machine;
    return html`<button type="button" class="link" aria-label=${text.restoreOf(label)} @click=${() => this.#try(() => this.edits.restore(version))}>${text.restore}</button>`;
  }

  #exports(version, label) {
    return html`<span class="edit-exports" role="group" aria-label=${text.exportsOf(label)}>
      ${FORMATS.map((format) => html`<a href=${this.edits.exportPath(version, format)} download>${format}</a>`)}</span>`;
  }

  #save = () => this.#try(async () => {
    if (this.edits.pending && (await this.edits.save())) announce(text.savedNow);
  });

  #resolve(choice) {
    this.edits.resolve(choice);
    this.querySelector("button")?.focus();
  }

  async #try(action) {
    this.#error.value = null;
    try {
      await action();
    } catch (error) {
      this.#error.value = error;
    }
  }

  #key = (event) => {
    if (this.readonly || event.altKey || event.shiftKey || !(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "s") return;
    event.preventDefault();
    document.activeElement?.closest("word-editor, speaker-name")?.querySelector("input")?.blur(); // takes over what is in the field
    this.#save();
  };
}

define("transcript-edits", TranscriptEdits);
