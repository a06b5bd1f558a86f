/** Submit audio by its URL: the service fetches it. */

import { announce } from "../announce.js";
import { post } from "../api.js";
import { ConsoleElement, define, html, signal } from "../element.js";
import { changedOptions, jobOptions } from "../uploads/job-options.js";
import { strings } from "../strings.js";
import "./error-note.js";

const text = strings.home;

class UrlForm extends ConsoleElement {
  #error = signal(null);
  #isBusy = signal(false);

  render() {
    return html`
      <form class="url-form stack-tight" @submit=${this.#submit}>
        <div class="field">
          <label for="audio-url">${text.urlLabel}</label>
          <div class="url-row">
            <input id="audio-url" name="url" type="url" required placeholder="https://" autocomplete="off" spellcheck="false" aria-describedby="url-help">
            <button class="primary" ?disabled=${this.#isBusy.value}>${text.urlSubmit}</button>
          </div>
          <p id="url-help" class="quiet-text small">${text.urlHelp}</p>
        </div>
        <error-note .error=${this.#error.value}></error-note>
      </form>`;
  }

  rendered() {
    if (!this.contains(document.activeElement) && !this.#hasFocused) this.querySelector("input").focus();
    this.#hasFocused = true;
  }

  #hasFocused = false;

  #submit = async (event) => {
    event.preventDefault();
    const form = event.target;
    this.#isBusy.value = true;
    this.#error.value = null;
    try {
      const url = new FormData(form).get("url").trim();
      const job = await post("/v1/jobs/remote", { body: { audio_url: url, ...bodyOf(changedOptions(jobOptions.peek())) } });
      form.reset();
      announce(text.urlAccepted);
      this.emit("submitted", job.job_id);
    } catch (error) {
      this.#error.value = error;
    } finally {
      this.#isBusy.value = false;
    }
  };
}

/** The options as JSON has them: a count is a number there. */
const bodyOf = ({ num_speakers: count, ...options }) => (count ? { ...options, num_speakers: Number(count) } : options);

define("url-form", UrlForm);
