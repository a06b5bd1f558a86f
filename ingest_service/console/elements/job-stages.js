/** `<job-stages>`: how the work went: the stages with their times, and each task with attempts, engine and model. */

import { ConsoleElement, define, html, nothing } from "../element.js";
import { formatClock, formatDuration, formatTime } from "../format.js";
import { strings } from "../strings.js";

const KINDS = { running: "info", waiting: "warn", done: "good", dead: "bad" };

/** Properties: `work` (`GET /v1/jobs/{id}/work`, or null), `job`. Event: `work-seek` with `{time}`. */
export class JobStages extends ConsoleElement {
  static properties = { work: null, job: null };

  render() {
    if (!this.work || !this.job) return nothing;
    const { stages, tasks } = this.work;
    return html`
      <ol class="stages">${this.#waited()}${stages.map((stage) => this.#stage(stage))}</ol>
      ${tasks.length ? this.#tasks(tasks) : nothing}`;
  }

  #waited() {
    const { created_at: created, started_at: started } = this.job;
    return this.#step(strings.job.stages.queued, created, started);
  }

  #stage({ name, started_at: started, ended_at: ended }) {
    return started ? this.#step(strings.job.stages[name] ?? name, started, ended) : nothing;
  }

  #step(name, from, to) {
    const isRunning = !to && !TERMINAL.has(this.job.status);
    const length = to ? formatDuration(seconds(from, to)) : isRunning ? strings.job.stages.running : "–";
    return html`<li><span class="stage-name">${name}</span> <span class="stage-length">${length}</span>
      <time class="small quiet-text" datetime=${from}>${formatTime(from)}</time></li>`;
  }

  #tasks(tasks) {
    const text = strings.job.tasks;
    return html`
      <div class="table-scroll" tabindex="0" role="region" aria-label=${text.label}>
        <table>
          <thead><tr><th>${text.task}</th><th>${text.span}</th><th>${text.state}</th><th class="number">${text.attempts}</th>
            <th class="number">${text.took}</th><th>${text.engine}</th></tr></thead>
          <tbody>${tasks.map((task) => this.#task(task))}</tbody>
        </table>
      </div>`;
  }

  #task(task) {
    const { kind, state, attempts, error } = task;
    const took = task.started_at && task.ended_at ? formatDuration(seconds(task.started_at, task.ended_at)) : "–";
    return html`
      <tr>
        <td>${strings.job.tasks.kinds[kind] ?? kind}${kind === "chunk" ? ` ${task.chunk_index + 1}` : ""}</td>
        <td>${this.#span(task)}</td>
        <td><span class="badge ${KINDS[state] ?? ""}">${strings.job.tasks.states[state] ?? state}</span></td>
        <td class="number">${attempts}</td>
        <td class="number">${took}</td>
        <td><bdi>${[task.engine, task.model].filter(Boolean).join(" · ")}</bdi>${error ? html`<p class="task-error" dir="auto">${messageOf(error)}</p>` : nothing}</td>
      </tr>`;
  }

  #span({ start_s: start, end_s: end }) {
    if (start === null || start === undefined) return nothing;
    return html`<button type="button" class="link number" @click=${() => this.emit("work-seek", { time: start })}>
      ${formatClock(start)} – ${formatClock(end)}</button>`;
  }
}

const TERMINAL = new Set(["COMPLETED", "FAILED", "CANCELLED"]);

const seconds = (from, to) => (new Date(to) - new Date(from)) / 1000;

const messageOf = (error) => (typeof error === "string" ? error : error.message);

define("job-stages", JobStages);
