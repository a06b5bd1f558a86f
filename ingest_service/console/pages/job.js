/** The page of one job: its recording, its text, and how it was made. It is the place where the elements meet. */

import { editsOf } from "../job/edit-state.js";
import { computed, ConsoleElement, define, html, nothing, signal } from "../element.js";
import "../elements/audio-player.js";
import "../elements/audio-waveform.js";
import "../elements/empty-state.js";
import "../elements/error-note.js";
import { icon } from "../elements/icons.js";
import "../elements/job-downloads.js";
import "../elements/job-facts.js";
import "../elements/job-origin.js";
import "../elements/job-progress.js";
import "../elements/job-stages.js";
import "../elements/job-warnings.js";
import "../elements/page-header.js";
import "../elements/speaker-legend.js";
import "../elements/speaker-statistics.js";
import "../elements/status-badge.js";
import "../elements/transcript-about.js";
import "../elements/transcript-edits.js";
import "../elements/transcript-view.js";
import "../elements/webhook-attempts.js";
import { formatAge, formatClock } from "../format.js";
import { jobActions, nameOf } from "../job/job-actions.js";
import { JobReader } from "../job/job-reader.js";
import { actionsOf, chunksOf, isOver, variantsOf } from "../job/job-state.js";
import { pageKey } from "../job/page-keys.js";
import { silencesOf } from "../job/silence.js";
import { lanesOf, speakersOf } from "../job/speakers.js";
import { can, session } from "../session.js";
import { strings } from "../strings.js";

const text = strings.job;

class PageJob extends ConsoleElement {
  static properties = { params: {} };

  #reader = signal(null);
  #actionError = signal(null);
  #hasWebhook = signal(false);
  #transcript = computed(() => this.#reader.value?.transcript.value ?? null);
  #speakers = computed(() => (this.#transcript.value ? speakersOf(this.#transcript.value) : []));
  #lanes = computed(() => (this.#transcript.value ? lanesOf(this.#transcript.value) : []));
  #silences = computed(() => (this.#transcript.value ? silencesOf(this.#transcript.value) : []));
  #chunks = computed(() => chunksOf(this.#reader.value?.work.value));
  #edits = signal(null);

  connected() {
    this.#reader.value = new JobReader(this.params.id, this.signal);
    this.#edits.value = editsOf(this.params.id);
    this.#reader.value.load();
    this.watch(() => { if (this.#transcript.value) this.#loadEdits(); });
    document.addEventListener("keydown", (event) => this.#key(event), { signal: this.signal });
  }

  render() {
    const { job, error } = this.#reader.value;
    if (error.value) return this.#missing(error.value);
    if (!job.value) return html`<page-header .heading=${text.title}></page-header><p class="quiet-text" role="status">${strings.app.loading}</p>`;
    return html`
      <page-header .heading=${nameOf(job.value)} .actions=${this.#actions(job.value)}></page-header>
      <div class="stack job">
        <p class="job-line">${this.#line(job.value)}</p>
        ${this.#actionError.value ? html`<error-note .error=${this.#actionError.value}></error-note>` : nothing}
        ${this.#state(job.value)}
        ${this.#recording(job.value)}
        <div class="job-columns">
          <div class="job-main stack">${this.#text(job.value)}</div>
          <aside class="job-aside stack">${this.#aside(job.value)}</aside>
        </div>
        ${this.#more(job.value)}
      </div>`;
  }

  /** The corrections are laid over a transcript that is shown already. */
  async #loadEdits() {
    try {
      await this.#edits.peek().load();
    } catch (error) {
      this.#actionError.value = error;
    }
  }

  #missing(error) {
    const link = html`<a class="button" href="/jobs">${text.gone.toJobs}</a>`;
    if (error.status === 410) return this.#gone(text.gone.erased, text.gone.erasedText, link);
    if (error.status === 404) return this.#gone(text.gone.missing, text.gone.missingText, link);
    return html`<page-header .heading=${text.title}></page-header>
      <error-note .error=${error} .retry=${() => this.#reader.value.load()}></error-note>`;
  }

  #gone(heading, sentence, action) {
    return html`<page-header .heading=${text.title}></page-header>
      <empty-state icon="info" .heading=${heading} .text=${sentence} .action=${action}></empty-state>`;
  }

  #actions(job) {
    const may = actionsOf(job, this.#transcript.value !== null, can, session.value?.operates ?? false);
    const button = (name, label, sign, kind = "") => html`
      <button type="button" class=${kind} @click=${() => this.#act(name)}>${icon(sign)}<span>${label}</span></button>`;
    return html`
      ${may.redrive ? button("redrive", text.actions.redrive, "retry", "primary") : nothing}
      ${may.diarize ? button("diarize", job.options?.diarize ? text.actions.diarizeAgain : text.actions.diarize, "mic") : nothing}
      ${may.cancel ? button("cancel", text.actions.cancel, "stop") : nothing}
      ${may.erase ? button("erase", text.actions.erase, "trash") : nothing}`;
  }

  async #act(name) {
    try {
      this.#actionError.value = null;
      if (await jobActions[name](this.#reader.value.job.value)) await this.#reader.value.load();
    } catch (error) {
      this.#actionError.value = error;
    }
  }

  #line(job) {
    const facts = [job.audio.duration === null ? null : formatClock(job.audio.duration), formatAge(job.created_at)];
    return html`<status-badge .status=${job.status}></status-badge>
      ${facts.filter(Boolean).map((fact) => html`<span class="quiet-text">${fact}</span>`)}`;
  }

  #state(job) {
    if (!isOver(job)) return html`<job-progress .job=${job} .hasTranscript=${this.#transcript.value !== null}></job-progress>`;
    if (job.status === "FAILED") return failure(job);
    return job.status === "CANCELLED" ? note("warn", text.cancelled, text.cancelledText) : nothing;
  }

  #recording(job) {
    const variants = variantsOf(job, this.#transcript.value !== null);
    if (!variants.length) return nothing;
    const start = job.options?.start ?? 0;
    const duration = job.audio.duration === null ? this.#transcript.value?.duration ?? 0 : start + job.audio.duration;
    return html`
      <section class="recording" aria-label=${text.wave.label}>
        <audio-player .jobId=${job.job_id} .start=${start} .duration=${duration} .variants=${variants}
          @player-time=${(event) => this.#timeChanged(event.detail)}></audio-player>
        ${duration ? html`
          <audio-waveform .peaks=${this.#reader.value.peaks.value} .note=${this.#reader.value.hasNoPeaks.value ? text.wave.noPeaks : ""} .duration=${duration} .lanes=${this.#lanes.value}
            .silences=${this.#silences.value} .chunks=${this.#chunks.value} .warnings=${job.warnings} .nameOf=${this.#nameOf}
            @wave-seek=${(event) => this.#seek(event.detail.time)} @wave-zoomed=${() => this.#reader.value.loadDetail()}></audio-waveform>
          <speaker-legend .lanes=${this.#lanes.value} .edits=${this.#edits.value} .readonly=${!can("submit")}></speaker-legend>` : nothing}
      </section>`;
  }

  #text(job) {
    const transcript = this.#transcript.value;
    const { resultsError } = this.#reader.value;
    if (resultsError.value) {
      return html`<error-note .heading=${text.noTranscript} .error=${resultsError.value} .retry=${() => this.#reader.value.load()}></error-note>`;
    }
    if (!transcript) return job.status === "COMPLETED" ? html`<p class="quiet-text" role="status">${text.transcript.loading}</p>` : nothing;
    if (!transcript.segments.length) return html`<empty-state icon="info" .heading=${text.emptyTranscript} .text=${text.emptyTranscriptText}></empty-state>`;
    return html`
      <transcript-about .transcript=${transcript} @about-seek=${(event) => this.#seek(event.detail.time)}></transcript-about>
      <div class="transcript-head"><h2>${text.transcript.title}</h2>
        <span class="transcript-key small"><span class="word low">${text.transcript.low}</span></span>
        <button type="button" class="quiet" aria-keyshortcuts="Control+F" @click=${() => this.#find()}>${icon("search")}<span>${text.transcript.find}</span></button></div>
      <transcript-edits .edits=${this.#edits.value} .readonly=${!can("submit")}></transcript-edits>
      <transcript-view .transcript=${transcript} .edits=${this.#edits.value} .speakers=${this.#speakers.value} .readonly=${!can("submit")}
        @word-seek=${(event) => this.#seek(event.detail.time)}></transcript-view>`;
  }

  #aside(job) {
    const variants = variantsOf(job, this.#transcript.value !== null);
    return html`
      ${variants.length || this.#transcript.value ? section(text.downloads.title, html`
        <job-downloads .jobId=${job.job_id} .transcript=${this.#transcript.value} .variants=${variants} .edits=${this.#edits.value}></job-downloads>`) : nothing}
      ${job.warnings.length ? section(text.warnings, html`
        <job-warnings .warnings=${job.warnings} @warning-seek=${(event) => this.#seek(event.detail.time)}></job-warnings>`) : nothing}
      ${this.#transcript.value?.speaker_statistics?.length ? section(text.speakers.label, html`
        <speaker-statistics .statistics=${this.#transcript.value.speaker_statistics} .nameOf=${(label) => this.#edits.value?.speakerName(label) ?? label}></speaker-statistics>`) : nothing}
      ${section(text.facts.label, html`<job-facts .job=${job} .transcript=${this.#transcript.value}></job-facts>`)}`;
  }

  #more(job) {
    return html`
      ${section(text.work, html`<job-stages .job=${job} .work=${this.#reader.value.work.value}
        @work-seek=${(event) => this.#seek(event.detail.time)}></job-stages>`)}
      ${section(text.webhook.title, html`<webhook-attempts .jobId=${job.job_id} .isOver=${isOver(job)}
        @attempts-known=${(event) => { this.#hasWebhook.value = event.detail.count > 0; }}></webhook-attempts>`)}
      ${section(text.origin.title, html`<job-origin .job=${job} .hasWebhook=${this.#hasWebhook.value}></job-origin>`)}`;
  }

  /** The player is the clock: each frame moves the waveform and the text to its position. */
  #timeChanged({ time, playing }) {
    this.querySelector("audio-waveform")?.showTime(time);
    this.querySelector("transcript-view")?.showTime(time, playing);
  }

  #nameOf = (label) => this.#edits.peek().speakerName(label);

  #seek(time) {
    this.querySelector("audio-player")?.seek(time);
    const view = this.querySelector("transcript-view");
    if (view) view.revealTime(time);
  }

  #find() {
    this.querySelector("transcript-view")?.openFind();
  }

  #key(event) {
    const action = pageKey(event);
    const player = this.querySelector("audio-player");
    if (action === "find" && this.querySelector("transcript-view")) this.#find();
    else if (action === "toggle" && player) player.toggle();
    else if (typeof action === "number" && player) player.step(action);
    else return;
    event.preventDefault();
  }
}

const section = (heading, content) => html`<section class="job-section"><h2>${heading}</h2>${content}</section>`;

const note = (kind, heading, ...sentences) => html`
  <div class="note ${kind}">${icon("alert")}<div><p><strong>${heading}</strong></p>${sentences.map((one) => html`<p dir="auto">${one}</p>`)}</div></div>`;

function failure({ error }) {
  if (!error) return note("bad", text.failed);
  return html`${note("bad", text.failed, error.message, text.failureHelp[error.code] ?? "", html`<code>${error.code}</code>`)}`;
}

define("page-job", PageJob);
