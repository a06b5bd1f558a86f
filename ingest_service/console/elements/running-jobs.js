/** What runs and waits now, live, and what has just ended. */

import { ConsoleElement, define, html, nothing } from "../element.js";
import { formatAge, formatDuration } from "../format.js";
import { JobFeed } from "../jobs/job-feed.js";
import { now } from "../now.js";
import { strings } from "../strings.js";
import { apiText } from "./api-text.js";
import "./empty-state.js";
import "./error-note.js";
import { icon } from "./icons.js";
import "./progress-bar.js";
import "./status-badge.js";

const text = strings.home;
const SHOWN = 12;

class RunningJobs extends ConsoleElement {
  #feed = null;

  connected() {
    this.#feed = new JobFeed(this.signal);
  }

  render() {
    const jobs = this.#feed.jobs.value;
    return html`
      <section aria-labelledby="running-title" aria-busy=${jobs === null}>
        <div class="section-head"><h2 id="running-title">${text.running}</h2><a href="/jobs">${text.allJobs}</a></div>
        <error-note .error=${this.#feed.error.value}></error-note>
        ${jobs === null ? nothing : jobs.length ? jobTable(mostRelevant(jobs)) : html`
          <empty-state .icon=${"pulse"} .heading=${text.noJobs} .text=${text.noJobsText}></empty-state>`}
      </section>`;
  }
}

/** Return the jobs that run, then those that wait, then those that ended last. */
function mostRelevant(jobs) {
  const rank = (job) => ["PROCESSING", "QUEUED"].indexOf(job.status) + 1 || 3;
  return [...jobs].sort((a, b) => rank(a) - rank(b)).slice(0, SHOWN);
}

const jobTable = (jobs) => html`
  <ul class="running">${jobs.map((job) => html`
    <li>
      <a class="running-name" href="/jobs/${job.job_id}"><bdi>${job.filename ?? text.unnamed}</bdi></a>
      <status-badge .status=${job.status} .stage=${job.stage}></status-badge>
      <span class="running-progress">${progressOf(job)}</span>
      <span class="quiet-text small running-age">${formatAge(job.completed_at ?? job.created_at, now.value)}</span>
      ${icon("chevron")}
    </li>`)}</ul>`;

function progressOf(job) {
  if (job.status === "PROCESSING") return html`<progress-bar .value=${job.progress} .label=${text.progress(job.filename ?? text.unnamed)}></progress-bar>`;
  if (job.status === "QUEUED" && job.estimated_wait_s > 0) return html`<span class="quiet-text small">${text.wait(formatDuration(job.estimated_wait_s))}</span>`;
  if (job.status === "FAILED") return html`<span class="small bad-text" dir="auto">${apiText(job.error?.message)}</span>`;
  return job.audio?.duration ? html`<span class="quiet-text small">${text.audio(formatDuration(job.audio.duration))}</span>` : nothing;
}

define("running-jobs", RunningJobs);
