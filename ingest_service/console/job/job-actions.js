/** What a user can do to a job: each asks first if something is lost, and says what has happened. */

import { announce } from "../announce.js";
import { del, post } from "../api.js";
import { confirm } from "../elements/confirm-dialog.js";
import { html } from "../element.js";
import { strings } from "../strings.js";

const text = strings.job.actions;

/** Each takes the job and resolves to whether something was done. They throw ApiError. */
export const jobActions = {
  async cancel(job) {
    if (!(await confirm({ heading: text.cancelHeading(nameOf(job)), text: text.cancelText, action: text.cancelAction }))) return false;
    await post(`${pathOf(job)}/cancel`);
    return said(text.cancelled);
  },

  async erase(job) {
    if (!(await confirm({ heading: text.eraseHeading(nameOf(job)), text: text.eraseText, action: text.eraseAction }))) return false;
    await del(pathOf(job));
    return said(text.erased);
  },

  async diarize(job) {
    const speakers = {};
    const content = speakerFields(speakers);
    const question = { heading: text.diarizeHeading, text: text.diarizeText, action: text.diarizeAction, isDangerous: false, content };
    if (!(await confirm(question))) return false;
    await post(`${pathOf(job)}/diarize`, { body: speakers });
    return said(text.diarizing);
  },

  async redrive(job) {
    await post(`/v1/dead-letters/${encodeURIComponent(job.job_id)}/redrive`);
    return said(text.redriven);
  },
};

const pathOf = (job) => `/v1/jobs/${encodeURIComponent(job.job_id)}`;

/** Return how people call a job. */
export const nameOf = (job) => job.filename || job.job_id;

function said(sentence) {
  announce(sentence);
  return true;
}

/** Return the fields of the numbers of speakers, which write them into `speakers`. */
function speakerFields(speakers) {
  const field = (name, label) => html`
    <label class="field"><span>${label}</span><input type="number" min="1" max="64" inputmode="numeric" @input=${(event) => {
      if (event.target.value) speakers[name] = event.target.valueAsNumber;
      else delete speakers[name];
    }}></label>`;
  return html`
    <div class="speaker-fields">${field("num_speakers", text.exact)}${field("min_speakers", text.least)}${field("max_speakers", text.most)}</div>
    <p class="small quiet-text">${text.eitherOr}</p>`;
}
