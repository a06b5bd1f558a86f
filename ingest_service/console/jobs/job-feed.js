/** The newest jobs of the tenant, kept up to date by its event stream. */

import { ApiError, events, get } from "../api.js";
import { signal } from "../element.js";

const LIMIT = 50; // of jobs that are kept
const ENDED = new Set(["COMPLETED", "FAILED", "CANCELLED"]);

/** The jobs of one list. It reads them once, and then what changes; `abort` ends it. */
export class JobFeed {
  jobs = signal(null); // JobView objects, newest first; null: not read yet
  error = signal(null);
  #abort;
  #isLoading = false;
  #isOutdated = false; // by an event that came while it is loaded

  constructor(abort) {
    this.#abort = abort;
    this.#start();
  }

  /** The stream begins with what runs and waits, so it is opened after the list was read. */
  async #start() {
    await this.#load();
    if (this.#abort.aborted) return;
    const close = events("/v1/events", (data, type) => this.#receive(data, type), ["reload"]);
    this.#abort.addEventListener("abort", close);
  }

  async #load() {
    this.#isOutdated = this.#isLoading;
    if (this.#isLoading) return;
    this.#isLoading = true;
    await this.#read(async () => {
      const { jobs } = await get("/v1/jobs", { query: { limit: LIMIT }, signal: this.#abort });
      this.jobs.value = jobs;
    });
    this.#isLoading = false;
    if (this.#isOutdated && !this.#abort.aborted) await this.#load();
  }

  #receive(data, type) {
    if (type === "reload" || this.jobs.peek() === null) return this.#load();
    const known = this.jobs.peek().find((job) => job.job_id === data.job_id);
    this.jobs.value = withEvent(this.jobs.peek(), data);
    if (!data.erased && needsDetails(known, data)) this.#loadDetails(data.job_id);
  }

  /** Read what an event does not have: the estimated wait of a new job; length and error of one that has ended. */
  async #loadDetails(jobId) {
    await this.#read(async () => {
      const job = await get(`/v1/jobs/${jobId}`, { signal: this.#abort });
      this.jobs.value = this.jobs.peek().map((one) => (one.job_id === jobId ? job : one));
    });
  }

  async #read(task) {
    try {
      await task();
      this.error.value = null;
    } catch (error) {
      const isErased = error instanceof ApiError && [404, 410].includes(error.status);
      if (error.name !== "AbortError" && !isErased) this.error.value = error;
    }
  }
}

/** Return the jobs after an event: a known one changes, a new one comes first, an erased one goes. */
export function withEvent(jobs, event) {
  const others = jobs.filter((job) => job.job_id !== event.job_id);
  if (event.erased) return others;
  const known = jobs.find((job) => job.job_id === event.job_id);
  if (known) return jobs.map((job) => (job === known ? { ...job, ...event } : job));
  return [event, ...others].sort((a, b) => new Date(b.created_at) - new Date(a.created_at)).slice(0, LIMIT);
}

const needsDetails = (known, event) => (ENDED.has(event.status) ? known?.status !== event.status : known === undefined);
