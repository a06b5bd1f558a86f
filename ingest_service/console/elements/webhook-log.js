/** The log of all webhook attempts: filters in the address, the newest first; each opens to what was sent and answered. */

import { announce } from "../announce.js";
import { get, post } from "../api.js";
import { ConsoleElement, define, html, nothing, signal } from "../element.js";
import { formatAge, formatDuration, formatTime } from "../format.js";
import { navigate, route } from "../router.js";
import { can } from "../session.js";
import { strings } from "../strings.js";
import "./empty-state.js";
import "./error-note.js";
import { icon } from "./icons.js";

const PAGE = 20;
const MAX_ROUNDS = 10; // requests of one search through attempts that do not match
const FILTERS = ["result", "status", "job_id", "within"];
const text = strings.webhooks.log;

class WebhookLog extends ConsoleElement {
  #attempts = signal(null); // null: not loaded
  #cursor = signal(null);
  #error = signal(null);

  connected() {
    this.watch(() => { if (route.value.page === "webhooks") this.#load(); });
  }

  render() {
    const attempts = this.#attempts.value;
    return html`
      <section class="card stack" aria-labelledby="log-title">
        <div class="section-head">
          <h2 id="log-title">${text.title}</h2>
          <button class="quiet" @click=${() => this.#load()}>${text.refresh}</button>
        </div>
        ${this.#filters()}
        <error-note .error=${this.#error.value}></error-note>
        ${attempts === null ? nothing : this.#list(attempts)}
      </section>`;
  }

  #filters() {
    const query = route.value.query;
    const chosen = (name) => query.get(name) ?? "";
    return html`
      <form class="filters" aria-label=${text.filters} @submit=${(event) => event.preventDefault()} @change=${this.#filter}>
        <label>${text.result}${options("result", text.results, chosen("result"))}</label>
        <label>${text.status}<input name="status" inputmode="numeric" pattern="[1-5][0-9][0-9]" maxlength="3" .value=${chosen("status")}></label>
        <label>${text.within}${options("within", text.spans, chosen("within"))}</label>
        <label class="wide">${text.job}<input name="job_id" spellcheck="false" placeholder=${text.jobPlaceholder} .value=${chosen("job_id")}></label>
      </form>`;
  }

  #list(attempts) {
    if (attempts.length) {
      return html`
        <ul class="attempts" aria-label=${text.label}>${attempts.map((one) => this.#attempt(one))}</ul>
        ${this.#more()}`;
    }
    if (!FILTERS.some((name) => route.value.query.get(name))) {
      return html`<empty-state .icon=${"send"} .heading=${text.empty} .text=${text.emptyText}></empty-state>`;
    }
    const clear = html`<button @click=${() => navigate("/webhooks", { replace: true })}>${text.clear}</button>${this.#more()}`;
    return html`<empty-state .icon=${"search"} .heading=${text.noMatch} .action=${clear}></empty-state>`;
  }

  #more() {
    return this.#cursor.value ? html`<button class="quiet" @click=${() => this.#load(this.#cursor.peek())}>${text.more}</button>` : nothing;
  }

  #attempt(one) {
    return html`
      <li>
        <details>
          <summary>
            ${icon("chevron")}
            <span class="badge ${kindOf(one)}">${resultOf(one)}</span>
            <code class="attempt-type">${one.type}</code>
            <span class="attempt-host">${one.host ?? text.noHost}</span>
            <span class="attempt-took number quiet-text">${one.duration_ms === null ? "" : formatDuration(one.duration_ms / 1000)}</span>
            <time class="attempt-age quiet-text" datetime=${one.attempted_at} title=${formatTime(one.attempted_at)}>${formatAge(one.attempted_at)}</time>
          </summary>
          <div class="attempt-detail">
            ${request(one)}
            ${answer(one)}
            ${can("submit") ? html`<div class="actions"><button aria-label=${text.sendAgainOf(one.job_id)} @click=${() => this.#sendAgain(one)}>${text.sendAgain}</button></div>` : nothing}
          </div>
        </details>
      </li>`;
  }

  #filter = (event) => {
    if (!event.target.form.reportValidity()) return;
    const values = [...new FormData(event.target.form)].map(([name, value]) => [name, value.trim()]).filter(([, value]) => value);
    navigate(values.length ? `/webhooks?${new URLSearchParams(values)}` : "/webhooks", { replace: true });
  };

  async #load(cursor) {
    const { within, ...query } = Object.fromEntries(FILTERS.map((name) => [name, route.peek().query.get(name)]));
    const since = within && new Date(Date.now() - within * 1000).toISOString();
    try {
      const page = await this.#search({ ...query, since }, cursor);
      this.#attempts.value = cursor ? [...this.#attempts.peek(), ...page.attempts] : page.attempts;
      this.#cursor.value = page.next_cursor;
      this.#error.value = null;
    } catch (error) {
      if (error.name !== "AbortError") this.#error.value = error;
    }
  }

  /** A request looks through a bounded number of attempts: go on until the page is full, or for some rounds. */
  async #search(query, cursor) {
    const attempts = [];
    for (let round = 0; round < MAX_ROUNDS && attempts.length < PAGE && cursor !== null; round += 1) {
      const limit = PAGE - attempts.length;
      const page = await get("/v1/webhooks/attempts", { query: { ...query, limit, cursor }, signal: this.signal });
      attempts.push(...page.attempts);
      cursor = page.next_cursor;
    }
    return { attempts, next_cursor: cursor };
  }

  async #sendAgain(attempt) {
    try {
      await post(`/v1/jobs/${attempt.job_id}/webhook`);
      announce(text.sent);
    } catch (error) {
      this.#error.value = error;
    }
  }
}

const options = (name, words, chosen) => html`
  <select name=${name}>${Object.entries(words).sort(byLength).map(([value, word]) => html`
    <option value=${value} ?selected=${value === chosen}>${word}</option>`)}</select>`;

/** The choice of everything first: JavaScript puts keys that are numbers before it. */
const byLength = ([one], [other]) => (one ? 1 : 0) - (other ? 1 : 0);

const isDelivered = (one) => one.status >= 200 && one.status < 300;
const kindOf = (one) => (isDelivered(one) ? "good" : one.duration_ms === null ? "info" : "bad");
const resultOf = (one) => one.status ?? (one.duration_ms === null ? text.running : text.noAnswer);

const request = (one) => html`
  <div class="stack-tight">
    <h3>${text.request}</h3>
    <dl class="facts">
      <dt>${text.jobLink}</dt><dd><a href=${`/jobs/${one.job_id}`}><code>${one.job_id}</code></a></dd>
      <dt>${text.event}</dt><dd><code>webhook-id: ${one.event_id}</code></dd>
      ${one.endpoint_id ? html`<dt>${text.endpoint}</dt><dd><code>${one.endpoint_id}</code></dd>` : nothing}
      <dt>${text.sentAt}</dt><dd><time datetime=${one.attempted_at}>${formatTime(one.attempted_at)}</time></dd>
    </dl>
    <pre tabindex="0" role="region" dir="auto" aria-label=${text.bodyLabel}>${readable(one.body)}</pre>
  </div>`;

const answer = (one) => html`
  <div class="stack-tight">
    <h3>${text.answer}</h3>
    ${one.status === null ? nothing : html`<p><code>HTTP ${one.status}</code></p>`}
    ${one.error ? html`<p dir="auto">${one.error}</p>` : nothing}
    ${one.next_attempt_at ? html`<p class="quiet-text">${text.next(formatTime(one.next_attempt_at))}</p>` : nothing}
    ${one.answer ? html`<pre tabindex="0" role="region" dir="auto" aria-label=${text.answerLabel}>${one.answer}</pre>`
      : html`<p class="quiet-text">${one.duration_ms === null ? text.noAnswerYet : one.status === null ? "" : text.emptyAnswer}</p>`}
  </div>`;

function readable(body) {
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body;
  }
}

define("webhook-log", WebhookLog);
