/** `<job-downloads>`: the transcript in every format, as the machine wrote it and as edited, and both recordings. */

import { withQuery } from "../api.js";
import { ConsoleElement, define, html, nothing } from "../element.js";
import { strings } from "../strings.js";
import { icon } from "./icons.js";

const FORMATS = ["txt", "srt", "vtt", "tsv", "json"];

/** Properties: `jobId`, `transcript` (or null), `variants` (of the audio), `edits` (an EditState, or null). */
export class JobDownloads extends ConsoleElement {
  static properties = { jobId: "", transcript: null, variants: [], edits: null };

  render() {
    const text = strings.job.downloads;
    const query = this.edits?.exportQuery ?? "edits=none";
    const isEdited = query !== "edits=none";
    return html`
      ${this.transcript ? html`
        ${isEdited ? this.#formats(text.edited, query) : nothing}
        ${this.#formats(isEdited ? text.machine : text.transcript, isEdited ? "edits=none" : "")}` : nothing}
      ${this.variants.length ? html`
        <p class="small quiet-text">${text.audio}</p>
        <ul class="download-list">${this.variants.map((variant) => this.#audio(variant))}</ul>` : nothing}`;
  }

  #formats(heading, edits) {
    const formats = this.transcript.turns?.length ? [...FORMATS, "rttm"] : FORMATS;
    const query = Object.fromEntries(new URLSearchParams(edits));
    return html`
      <p class="small quiet-text">${heading}</p>
      <ul class="download-list">${formats.map((format) => this.#link(
        withQuery(`${this.#path}/transcript`, { format, ...query }), format.toUpperCase(), strings.job.downloads.formats[format]))}</ul>`;
  }

  #audio(variant) {
    return this.#link(`${this.#path}/audio?variant=${variant}`, strings.job.player.variants[variant], nothing);
  }

  #link(href, name, title) {
    return html`<li><a class="button small" href=${href} title=${title} download>${icon("download")}<span>${name}</span></a></li>`;
  }

  get #path() {
    return `/v1/jobs/${encodeURIComponent(this.jobId)}`;
  }
}

define("job-downloads", JobDownloads);
