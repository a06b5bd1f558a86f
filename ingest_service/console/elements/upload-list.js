/** The uploads of this window with their progress and what can be done with each, and those of before that can go on. */

import { ConsoleElement, define, html, nothing, signal } from "../element.js";
import { formatBytes, formatDuration } from "../format.js";
import { strings } from "../strings.js";
import { discardUnfinished, unfinishedUploads } from "../uploads/unfinished-uploads.js";
import { removeDone, removeUpload, uploads } from "../uploads/uploads.js";
import { apiText } from "./api-text.js";
import { icon } from "./icons.js";
import "./progress-bar.js";

const text = strings.home;
const KINDS = { done: "good", failed: "bad", interrupted: "warn" };

class UploadList extends ConsoleElement {
  #changes = signal(0); // of what the browser remembers

  render() {
    const all = uploads.value;
    this.#changes.value;
    const known = new Set(all.map((upload) => upload.fingerprint));
    const unfinished = unfinishedUploads().filter((entry) => !known.has(entry.fingerprint));
    return html`${all.length ? this.#list(all) : nothing}${unfinished.length ? this.#unfinished(unfinished) : nothing}`;
  }

  #list(all) {
    return html`
      <section aria-labelledby="uploads-title">
        <div class="section-head">
          <h2 id="uploads-title">${text.uploads}</h2>
          ${all.some((upload) => upload.state.value === "done") ? html`<button class="quiet" @click=${removeDone}>${text.removeDone}</button>` : nothing}
        </div>
        <ul class="uploads">${all.map(uploadItem)}</ul>
      </section>`;
  }

  #unfinished(entries) {
    return html`
      <section class="note" aria-label=${text.unfinished}>
        ${icon("info")}
        <div>
          <p><strong>${text.unfinished}</strong> ${text.unfinishedDetail}</p>
          <ul class="plain">${entries.map((entry) => html`
            <li><span dir="auto">${entry.name}</span> <span class="quiet-text">${formatBytes(entry.bytes)}</span>
              <button class="link" @click=${() => this.#discard(entry)} aria-label=${text.discardUnfinished(entry.name)}>${text.recordDiscard}</button></li>`)}
          </ul>
        </div>
      </section>`;
  }

  #discard(entry) {
    discardUnfinished(entry);
    this.#changes.value += 1;
  }
}

function uploadItem(upload) {
  const { name, size } = upload.file;
  const state = upload.state.value;
  return html`
    <li class="upload">
      ${icon("file")}
      <div class="upload-text">
        <p><strong dir="auto">${upload.jobId.value ? html`<a href="/jobs/${upload.jobId.value}">${name}</a>` : name}</strong>
          <span class="quiet-text small">${progressText(upload)}</span></p>
        <progress-bar .value=${upload.sentBytes.value / size} .kind=${KINDS[state] ?? ""} .label=${text.uploading(name)}></progress-bar>
        ${upload.error.value ? html`<p class="small ${state === "failed" ? "bad-text" : "warn-text"}" dir="auto" role="alert">${whyNot(upload.error.value)}</p>` : nothing}
      </div>
      <div class="actions">${uploadActions(upload, state)}</div>
    </li>`;
}

/** The service lists all formats when it knows none; that is too much for a line. */
const whyNot = (error) => (error.code === "unsupported_media" ? text.noMedia : apiText(error.message));

function progressText(upload) {
  const state = upload.state.value;
  const { size } = upload.file;
  if (state === "done") return text.states.done(formatBytes(size));
  const sent = `${formatBytes(upload.sentBytes.value)} / ${formatBytes(size)}`;
  const rate = upload.bytesPerSecond.value;
  if (state !== "uploading" || !rate) return [sent, text.states[state]].join(" · ");
  return [sent, text.rate(formatBytes(rate)), text.left(formatDuration((size - upload.sentBytes.value) / rate))].join(" · ");
}

function uploadActions(upload, state) {
  const { name } = upload.file;
  const actions = {
    pause: iconButton("pause", text.pause(name), () => upload.pause()),
    resume: iconButton("play", text.resume(name), () => upload.start()),
    retry: iconButton("retry", text.retry(name), () => upload.start()),
    remove: iconButton("close", state === "done" ? text.remove(name) : text.cancel(name), () => removeUpload(upload)),
  };
  const offered = {
    uploading: ["pause"], retrying: ["pause"], waiting: ["pause"], paused: ["resume"], interrupted: ["retry"], failed: [], done: [],
  };
  return [...offered[state], "remove"].map((action) => actions[action]);
}

const iconButton = (name, label, act) => html`<button class="quiet" aria-label=${label} title=${label} @click=${act}>${icon(name)}</button>`;

define("upload-list", UploadList);
