/** One page of jobs: loaded by its filter, then kept up to date by the stream of the tenant's events. */

import { events, get } from "../api.js";
import { batch, signal } from "../element.js";
import { withoutStatus } from "./job-filter.js";

export const PAGE_SIZE = 100;
const MAX_ROUNDS = 10; // requests of one search through jobs that do not match
const RELOAD_MS = 800; // between two loads that events cause

/** The list that a page shows. Its signals change; `close` ends it. */
export class JobList {
  jobs = signal(null); // null: not loaded yet
  counts = signal(null); // of the filter without its status
  nextCursor = signal(null);
  isLoading = signal(false);
  error = signal(null);

  #filter = {};
  #cursor = null;
  #loading = null; // an AbortController
  #isOutdated = false; // by events that came while it is loaded
  #timer = 0;
  #stop = events("/v1/events", (data, type) => this.#receive(data, type), ["counts", "reload"]);

  /** Show another page. */
  open(filter, cursor) {
    const isOther = JSON.stringify([filter, cursor]) !== JSON.stringify([this.#filter, this.#cursor]);
    if (isOther) this.jobs.value = null;
    this.#filter = filter;
    this.#cursor = cursor;
    return this.load();
  }

  /** Load the page and the counts again. */
  async load() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#loading?.abort();
    const loading = this.#loading = new AbortController();
    this.isLoading.value = true;
    try {
      await Promise.all([this.#loadJobs(loading.signal), this.#loadCounts(loading.signal)]);
      this.error.value = null;
    } catch (error) {
      if (!loading.signal.aborted) this.error.value = error;
    } finally {
      if (loading === this.#loading) this.#loaded();
    }
  }

  #loaded() {
    this.isLoading.value = false;
    if (this.#isOutdated) this.#loadSoon();
    this.#isOutdated = false;
  }

  close() {
    clearTimeout(this.#timer);
    this.#loading?.abort();
    this.#stop();
  }

  /** A request looks through a bounded number of jobs: go on until the page is full, or for some rounds. */
  async #loadJobs(abort) {
    const found = [];
    let cursor = this.#cursor;
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      const query = { ...this.#filter, cursor, limit: PAGE_SIZE - found.length };
      const page = await get("/v1/jobs", { query, signal: abort });
      found.push(...page.jobs);
      cursor = page.next_cursor;
      if (cursor === null || found.length >= PAGE_SIZE) break;
    }
    batch(() => {
      this.jobs.value = found;
      this.nextCursor.value = cursor;
    });
  }

  async #loadCounts(abort) {
    this.counts.value = await get("/v1/jobs/counts", { query: withoutStatus(this.#filter), signal: abort });
  }

  #receive(data, type) {
    if (type === "counts") {
      if (Object.keys(withoutStatus(this.#filter)).length === 0) this.counts.value = data;
    } else if (type === "reload" || this.jobs.peek() === null || !this.#update(data)) {
      this.#loadSoon();
    }
  }

  /** Take a change into the list. Return whether that is all that it needs. */
  #update({ job_id: id, status, stage, progress, erased }) {
    const jobs = this.jobs.peek();
    const shown = jobs.find((job) => job.job_id === id);
    if (!shown) return this.#cursor !== null || erased || !isActive(status); // a new job belongs to the first page
    if (erased) {
      this.jobs.value = jobs.filter((job) => job !== shown);
      return true;
    }
    if (shown.status === status && shown.stage === stage && shown.progress === progress) return true;
    this.jobs.value = jobs.map((job) => (job === shown ? { ...job, status, stage, progress } : job));
    return shown.status === status; // the length, warnings and counts are known after another load
  }

  /** Load again, but let a load end that has begun: if each event began another one, a slow list would never be shown. */
  #loadSoon() {
    if (this.isLoading.peek()) this.#isOutdated = true;
    else this.#timer ||= setTimeout(() => this.load(), RELOAD_MS);
  }
}

const isActive = (status) => status === "QUEUED" || status === "PROCESSING";
