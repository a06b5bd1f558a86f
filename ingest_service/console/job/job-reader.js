/** What the job page reads, as signals: the job, live while it runs, and its results. */

import { events, get } from "../api.js";
import { signal } from "../element.js";
import { poll } from "../poll.js";
import { hasPeaks, isOver, levelOf, mayHaveTranscript, withEvent } from "./job-state.js";

const QUEUE_S = 5; // how often the position of a queued job is read

export class JobReader {
  job = signal(null); // a JobView; while it runs with `chunksDone` and `chunkCount` of its events
  transcript = signal(null);
  peaks = signal(null);
  hasNoPeaks = signal(false); // they are not stored
  work = signal(null);
  error = signal(null); // why there is no job
  resultsError = signal(null);
  #stopEvents = null;
  #stopPolling = null;
  #level = "";

  /** @param {string} jobId @param {AbortSignal} abort ends all requests and streams */
  constructor(jobId, abort) {
    this.path = `/v1/jobs/${encodeURIComponent(jobId)}`;
    this.abort = abort;
    abort.addEventListener("abort", () => this.#stop());
  }

  /** Read the job, and what there is of its results. Call it again after an action. */
  async load() {
    try {
      this.error.value = null;
      this.job.value = await this.#get("");
    } catch (error) {
      if (error.name !== "AbortError") this.error.value = error;
      return;
    }
    this.#follow();
    await this.#loadResults();
  }

  /** Read the finer peaks of a long recording, when the waveform is enlarged. */
  async loadDetail() {
    await this.#loadPeaks(true);
  }

  #get(suffix, query) {
    return get(`${this.path}${suffix}`, { query, signal: this.abort });
  }

  /** Follow a job that has not ended. */
  #follow() {
    this.#stop();
    if (isOver(this.job.value) || this.abort.aborted) return;
    this.#stopEvents = events(`${this.path}/events`, (event) => this.#received(event));
    this.#stopPolling = poll(() => this.#refresh(), QUEUE_S);
  }

  #stop() {
    this.#stopEvents?.();
    this.#stopPolling?.();
    this.#stopEvents = this.#stopPolling = null;
  }

  #received(event) {
    const next = withEvent(this.job.value, event);
    this.job.value = next;
    if (!isOver(next)) return;
    this.#stop();
    this.load();
  }

  /** Read what events do not say: position, estimate, facts of the audio, the next attempt; and the tasks. */
  async #refresh() {
    try {
      const { chunksDone, chunkCount } = this.job.value;
      const job = await this.#get("");
      if (this.#stopEvents === null) return; // it has ended meanwhile
      this.job.value = { ...job, chunksDone, chunkCount };
      if (isOver(job)) await this.load();
      else await Promise.all([this.#loadWork(), this.#loadPeaks(false)]);
    } catch (error) {
      if (error.status === 410 || error.status === 404) this.#gone(error);
    }
  }

  #gone(error) {
    this.#stop();
    this.error.value = error;
  }

  async #loadResults() {
    await Promise.all([this.#loadTranscript(), this.#loadPeaks(false), this.#loadWork()]);
  }

  /** The text may have 20 MB: it is parsed after the page was painted with the job. */
  async #loadTranscript() {
    if (!mayHaveTranscript(this.job.value)) return;
    try {
      const answer = await get(`${this.path}/transcript`, { query: { format: "json" }, signal: this.abort, as: "text" });
      await painted();
      this.transcript.value = JSON.parse(answer);
      this.resultsError.value = null;
    } catch (error) {
      if (error.name !== "AbortError" && error.status !== 409) this.resultsError.value = error;
    }
  }

  async #loadPeaks(isZoomed) {
    const level = levelOf(this.job.value.audio.duration ?? 0, isZoomed);
    if (!hasPeaks(this.job.value) || this.#level === level || this.#level === "detail") return;
    this.#level = level;
    try {
      const text = await get(`${this.path}/peaks`, { query: { level }, signal: this.abort, as: "text" });
      await painted();
      const peaks = JSON.parse(text);
      this.peaks.value = { ...peaks, data: Int8Array.from(peaks.data) };
    } catch (error) {
      this.#level = this.peaks.value ? "overview" : ""; // without a waveform, the seek bar is still there
      this.hasNoPeaks.value = error.status === 404;
    }
  }

  async #loadWork() {
    try {
      this.work.value = await this.#get("/work");
    } catch {
      // The page shows the rest without it.
    }
  }
}

/** Resolve after the next frame was painted; soon, if the page is hidden and none is. */
function painted() {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, 100);
    requestAnimationFrame(() => { clearTimeout(timer); setTimeout(resolve); });
  });
}
