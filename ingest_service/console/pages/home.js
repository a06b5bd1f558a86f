/** Home: hand in audio in any way, and see what runs. Files may be dropped anywhere on the page. */

import { announce } from "../announce.js";
import { droppedFiles, mediaOf } from "../uploads/dropped-files.js";
import { ConsoleElement, define, html, nothing, signal } from "../element.js";
import "../elements/audio-recorder.js";
import { icon } from "../elements/icons.js";
import "../elements/option-chips.js";
import "../elements/page-header.js";
import "../elements/running-jobs.js";
import "../elements/upload-list.js";
import "../elements/url-form.js";
import { formatBytes } from "../format.js";
import { changedOptions, jobOptions } from "../uploads/job-options.js";
import { can } from "../session.js";
import { strings } from "../strings.js";
import { addFiles, maxUploadBytes } from "../uploads/uploads.js";

const text = strings.home;

class PageHome extends ConsoleElement {
  static properties = { params: {} };

  #way = signal(""); // url, record, or empty: files
  #isOver = signal(false); // files are dragged over the page

  connected() {
    const { signal: removed } = this;
    addEventListener("dragover", this.#dragOver, { signal: removed });
    addEventListener("dragleave", (event) => { if (!event.relatedTarget) this.#isOver.value = false; }, { signal: removed });
    addEventListener("drop", this.#drop, { signal: removed });
  }

  render() {
    return html`
      <page-header .heading=${text.title}></page-header>
      <div class="home">
        ${can("submit") ? this.#dropZone() : html`<div class="note">${icon("info")}<div><p><strong>${text.readOnly}</strong></p><p>${text.readOnlyDetail}</p></div></div>`}
        <upload-list></upload-list>
        ${can("read") ? html`<running-jobs></running-jobs>` : nothing}
      </div>`;
  }

  #dropZone() {
    return html`
      <section class=${this.#isOver.value ? "drop-zone over" : "drop-zone"} aria-label=${text.dropTitle}>
        <div class="drop-head">
          ${icon("upload")}
          <p class="drop-title">${text.dropTitle}</p>
          <p class="quiet-text">${maxUploadBytes.value ? text.dropHint(formatBytes(maxUploadBytes.value)) : text.dropHintShort}</p>
          <div class="actions">
            <button class="primary" @click=${() => this.#choose("files")}>${icon("file")}${text.chooseFiles}</button>
            <button @click=${() => this.#choose("folder")}>${icon("folder")}${text.chooseFolder}</button>
            <button aria-expanded=${this.#way.value === "url"} @click=${() => this.#toggle("url")}>${icon("link")}${text.fromUrl}</button>
            <button aria-expanded=${this.#way.value === "record"} @click=${() => this.#toggle("record")}>${icon("mic")}${text.record}</button>
          </div>
          <input id="files" type="file" multiple hidden aria-label=${text.chooseFiles} @change=${this.#chosen}>
          <input id="folder" type="file" webkitdirectory hidden aria-label=${text.chooseFolder} @change=${this.#chosen}>
        </div>
        ${this.#way.value === "url" ? html`<url-form></url-form>` : nothing}
        ${this.#way.value === "record" ? html`<audio-recorder @recorded=${this.#recorded} @discarded=${() => this.#toggle("record")}></audio-recorder>` : nothing}
        <option-chips></option-chips>
      </section>`;
  }

  #choose(id) {
    this.querySelector(`#${id}`).click();
  }

  #toggle(way) {
    this.#way.value = this.#way.value === way ? "" : way;
  }

  #chosen = (event) => {
    const { files, id } = event.target;
    this.#add(id === "folder" ? mediaOf(files) : { files, skipped: 0 });
    event.target.value = ""; // the same file may be chosen again
  };

  #recorded = (event) => {
    this.#add({ files: [event.detail], skipped: 0 });
    this.#way.value = "";
  };

  #dragOver = (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = can("submit") ? "copy" : "none";
    this.#isOver.value = can("submit");
  };

  #drop = async (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault(); // or the browser shows the file instead of the page
    this.#isOver.value = false;
    if (can("submit")) this.#add(await droppedFiles(event.dataTransfer));
  };

  #add({ files, skipped }) {
    addFiles(files, changedOptions(jobOptions.peek()));
    if (skipped) announce(text.skipped(skipped));
  }
}

define("page-home", PageHome);
