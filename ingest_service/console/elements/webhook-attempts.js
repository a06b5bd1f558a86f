/** `<webhook-attempts>`: every attempt to deliver a job's event, with its answer, and a button that sends it again. */

import { announce } from "../announce.js";
import { get, post } from "../api.js";
import { ConsoleElement, define, html, nothing, signal } from "../element.js";
import { formatDuration, formatTime } from "../format.js";
import { can } from "../session.js";
import { strings } from "../strings.js";
import "./error-note.js";

const REFRESH_MS = 3000; // while an attempt runs or waits

/** Properties: `jobId`, `isOver` (the job has ended). Event: `attempts-known` with `{count}`. */
export class WebhookAttempts extends ConsoleElement {
  static properties = { jobId: "", isOver: false };

  #attempts = signal(null);
  #error = signal(null);
  #timer = 0;

  connected() {
    this.watch(() => { if (this.jobId) this.#load(this.isOver); });
  }

  disconnected() {
    clearTimeout(this.#timer);
  }

  async #load() {
    const { signal: abort, jobId } = this;
    clearTimeout(this.#timer);
    try {
      const { attempts } = await get(`/v1/jobs/${encodeURIComponent(jobId)}/webhook-attempts`, { signal: abort });
      this.#attempts.value = attempts;
      this.emit("attempts-known", { count: attempts.length });
      if (attempts.some(isPending)) this.#timer = setTimeout(() => { if (!document.hidden) this.#load(); }, REFRESH_MS);
    } catch (error) {
      if (error.name !== "AbortError") this.#error.value = error;
    }
  }

  #sendAgain = async () => {
    try {
      this.#error.value = null;
      await post(`/v1/jobs/${encodeURIComponent(this.jobId)}/webhook`);
      announce(strings.job.webhook.sent);
      this.#timer = setTimeout(() => this.#load(), 500);
    } catch (error) {
      this.#error.value = error;
    }
  };

  render() {
    const text = strings.job.webhook;
    const attempts = this.#attempts.value;
    return html`
      <error-note .error=${this.#error.value}></error-note>
      ${attempts?.length ? this.#table(attempts) : nothing}
      ${attempts?.length === 0 ? html`<p class="quiet-text">${this.isOver ? text.none : text.notYet}</p>` : nothing}
      ${attempts?.length && this.isOver && can("submit")
        ? html`<div class="actions"><button type="button" @click=${this.#sendAgain}>${text.sendAgain}</button></div>` : nothing}`;
  }

  #table(attempts) {
    const text = strings.job.webhook;
    return html`
      <div class="table-scroll" tabindex="0" role="region" aria-label=${text.label}>
        <table>
          <thead><tr><th>${text.time}</th><th>${text.event}</th><th>${text.result}</th><th class="number">${text.took}</th>
            <th>${text.answer}</th></tr></thead>
          <tbody>${attempts.map(attempt)}</tbody>
        </table>
      </div>`;
  }
}

const isPending = (one) => one.duration_ms === null || (one.next_attempt_at && new Date(one.next_attempt_at) - Date.now() < 60_000);

function attempt(one) {
  const text = strings.job.webhook;
  const isGood = one.status >= 200 && one.status < 300;
  const result = one.status ?? (one.duration_ms === null ? text.running : text.noAnswer);
  return html`
    <tr>
      <td><time datetime=${one.attempted_at}>${formatTime(one.attempted_at)}</time></td>
      <td><code>${one.type}</code></td>
      <td><span class="badge ${isGood ? "good" : one.duration_ms === null ? "info" : "bad"}">${result}</span>
        ${one.next_attempt_at ? html`<span class="small quiet-text">${text.next(formatTime(one.next_attempt_at))}</span>` : nothing}</td>
      <td class="number">${one.duration_ms === null ? "–" : formatDuration(one.duration_ms / 1000)}</td>
      <td class="webhook-answer" dir="auto">${one.error ?? ""}${one.error && one.answer ? " " : ""}${one.answer ? html`<code>${one.answer}</code>` : nothing}</td>
    </tr>`;
}

define("webhook-attempts", WebhookAttempts);
