/** `<job-downloads>`: the transcript in every format, as the machine wrote it and as edited, and both recordings. */

import { withQuery } from "../api.js";
import { ConsoleElement, define, html, nothing, signal } from "../element.js";
import { strings } from "../strings.js";
import { icon } from "./icons.js";

const FORMATS = ["txt", "srt", "vtt", "tsv", "json", "docx", "html", "md", "lrc", "textgrid"];
const BY_WORD = ["srt", "vtt", "lrc"]; // formats that can show each word at its time

/** Properties: `jobId`, `transcript` (or null), `variants` (of the audio), `edits` (an EditState, or null). */
export class JobDownloads extends ConsoleElement {
  static properties = { jobId: "", transcript: null, variants: [], edits: null };
  #areDigitsOn = signal(false);

  render() {
    const text = strings.job.downloads;
    const query = this.edits?.exportQuery ?? "edits=none";
    const isEdited = query !== "edits=none";
    return html`
      ${this.transcript ? html`
        ${isEdited ? this.#formats(text.edited, query) : nothing}
        ${this.#formats(isEdited ? text.machine : text.transcript, isEdited ? "edits=none" : "")}
        <label class="check small"><input type="checkbox" .checked=${this.#areDigitsOn.value}
          @change=${({ target }) => { this.#areDigitsOn.value = target.checked; }}>${text.digits}</label>` : nothing}
      ${this.variants.length ? html`
        <p class="small quiet-text">${text.audio}</p>
        <ul class="download-list">${this.variants.map((variant) => this.#audio(variant))}</ul>` : nothing}`;
  }

  #formats(heading, edits) {
    const formats = [...FORMATS, ...(this.transcript.turns?.length ? ["rttm"] : []), ...(this.transcript.chapters?.length ? ["chapters"] : [])];
    const query = { ...Object.fromEntries(new URLSearchParams(edits)), ...(this.#areDigitsOn.value ? { normalize: true } : {}) };
    return html`
      <p class="small quiet-text">${heading}</p>
      <ul class="download-list">${formats.map((format) => this.#link(
        withQuery(`${this.#path}/transcript`, { format, ...query }), format.toUpperCase(), strings.job.downloads.formats[format]))}
        ${this.#hasWords ? BY_WORD.map((format) => this.#link(
          withQuery(`${this.#path}/transcript`, { format, words: true, ...query }),
          strings.job.downloads.byWord(format.toUpperCase()), strings.job.downloads.byWordHint)) : nothing}</ul>`;
  }

  #audio(variant) {
    return this.#link(`${this.#path}/audio?variant=${variant}`, strings.job.player.variants[variant], nothing);
  }

  #link(href, name, title) {
    return html`<li><a class="button small" href=${href} title=${title} download>${icon("download")}<span>${name}</span></a></li>`;
  }

  get #hasWords() {
    return this.transcript.segments.some((segment) => segment.words?.length);
  }

  get #path() {
    return `/v1/jobs/${encodeURIComponent(this.jobId)}`;
  }
}

define("job-downloads", JobDownloads);
