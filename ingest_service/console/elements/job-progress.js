/** `<job-progress>`: what a job that has not ended is doing, and how long it still waits. */

import { ConsoleElement, define, html, nothing } from "../element.js";
import { formatDuration, formatShortTime } from "../format.js";
import { hasAudio } from "../job/job-state.js";
import { strings } from "../strings.js";
import "./progress-bar.js";

/** Properties: `job` (a JobView, with `chunksDone` and `chunkCount` if they are known), `hasTranscript`. */
export class JobProgress extends ConsoleElement {
  static properties = { job: null, hasTranscript: false };

  render() {
    const { job } = this;
    if (!job) return nothing;
    const text = strings.job.live;
    return html`
      <section class="card stack-tight" aria-label=${text.progress}>
        <p><strong>${headingOf(job)}</strong> <span class="quiet-text">${details(job).join(" ")}</span></p>
        ${job.status === "PROCESSING" ? html`<progress-bar .value=${job.progress} .label=${text.progress}></progress-bar>` : nothing}
        <p class="small quiet-text">${this.hasTranscript ? text.former : text.later}</p>
      </section>`;
  }
}

function headingOf(job) {
  const text = strings.job.live;
  if (job.status === "QUEUED") return hasAudio(job) ? text.queued : text.fetching;
  return text.running[job.stage] ?? text.running.transcribe;
}

function details(job) {
  const text = strings.job.live;
  const sentences = [];
  if (job.next_attempt_at) sentences.push(text.nextAttempt(formatShortTime(job.next_attempt_at), job.attempts));
  if (job.status === "QUEUED" && job.queue_position) sentences.push(text.position(job.queue_position));
  if (job.status === "QUEUED" && job.estimated_wait_s !== null) sentences.push(text.wait(formatDuration(job.estimated_wait_s)));
  if (job.status === "PROCESSING" && job.chunkCount > 1) sentences.push(text.chunks(job.chunksDone, job.chunkCount));
  return sentences;
}

define("job-progress", JobProgress);
