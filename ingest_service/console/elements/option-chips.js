/** The options of the next jobs, as chips: those used most are in sight, the others below "More". */

import { get } from "../api.js";
import { ConsoleElement, define, html, nothing, signal } from "../element.js";
import { changedOptions, chooseOptions, DEFAULTS, jobOptions } from "../uploads/job-options.js";
import { LANGUAGES } from "../uploads/languages.js";
import { strings } from "../strings.js";

const text = strings.options;
const SPEAKER_COUNTS = Array.from({ length: 10 }, (_, index) => ({ value: String(index + 1), label: text.speakers(index + 1) }));
const HIDDEN = ["channels", "transcribe_from", "word_timestamps", "prompt", "keyterms", "text", "summary", "chapters", "action_items", "searchable", "start", "end", "diarize_only", "redact", "profanity", "results_to", "webhook_url"];

class OptionChips extends ConsoleElement {
  #models = signal([]);

  async connected() {
    const { data } = await get("/v1/models", { signal: this.signal }).catch(() => ({ data: [] })); // the default is always there
    this.#models.value = data.map((model) => model.id);
  }

  render() {
    const options = jobOptions.value;
    return html`
      <fieldset class="option-chips">
        <legend class="visually-hidden">${text.title}</legend>
        ${choiceChip("language", LANGUAGES.map(({ code, name }) => ({ value: code, label: name })), text.anyLanguage)}
        ${switchChip("diarize", text.diarize)}
        ${options.diarize || options.diarize_only ? choiceChip("num_speakers", SPEAKER_COUNTS, text.anySpeakers) : nothing}
        ${switchChip("denoise", text.denoise)}
        ${switchChip("task", text.translate, ["translate", "transcribe"])}
        ${choiceChip("model", this.#models.value.map((name) => ({ value: name, label: name })), text.anyModel)}
      </fieldset>
      <details class="more-options" ?open=${HIDDEN.some((name) => options[name] !== DEFAULTS[name])}>
        <summary>${text.more}</summary>
        <div class="stack-tight">
          <div class="option-chips">
            ${switchChip("channels", text.separate, ["separate", "mix"])}
            ${options.denoise ? switchChip("transcribe_from", text.fromDenoised, ["denoised", "original"]) : nothing}
            ${switchChip("word_timestamps", text.words)}
            ${switchChip("summary", text.summary)}
            ${switchChip("chapters", text.chapters)}
            ${switchChip("action_items", text.actionItems)}
            ${switchChip("searchable", text.searchable)}
            ${switchChip("diarize_only", text.diarizeOnly)}
            ${switchChip("profanity", text.profanity, ["mask", "keep"])}
            ${options.redact ? switchChip("redact_audio", text.redactAudio, ["tone", "none"]) : nothing}
          </div>
          ${textField("start", text.start, text.startHelp)}
          ${textField("end", text.end, text.endHelp)}
          ${linesField("keyterms", text.keyterms, text.keytermsHelp)}
          ${textField("prompt", text.prompt, text.promptHelp)}
          ${linesField("text", text.knownText, text.knownTextHelp)}
          ${textField("redact", text.redact, text.redactHelp)}
          ${textField("results_to", text.resultsTo, text.resultsToHelp)}
          ${textField("webhook_url", text.webhook, text.webhookHelp, "url")}
          ${Object.keys(changedOptions(options)).length
            ? html`<div><button class="link" @click=${() => chooseOptions(DEFAULTS)}>${text.reset}</button></div>` : nothing}
        </div>
      </details>`;
  }
}

/** A chip that is on or off; `values` are what on and off mean. */
const switchChip = (name, label, [on, off] = [true, false]) => html`
  <label class="chip"><input type="checkbox" name=${name} .checked=${jobOptions.value[name] === on}
    @change=${(event) => chooseOptions({ [name]: event.target.checked ? on : off })}><span>${label}</span></label>`;

/** A chip to choose one of many; `none` is the label of the default. */
const choiceChip = (name, choices, none) => html`
  <span class=${jobOptions.value[name] ? "chip choice on" : "chip choice"}>
    <select name=${name} aria-label=${text.names[name]} @change=${(event) => chooseOptions({ [name]: event.target.value })}>
      <option value="" .selected=${!jobOptions.value[name]}>${none}</option>
      ${choices.map(({ value, label }) => html`<option value=${value} .selected=${jobOptions.value[name] === value}>${label}</option>`)}
    </select>
  </span>`;

const textField = (name, label, help, type = "text") => html`
  <div class="field">
    <label for="option-${name}">${label}</label>
    <input id="option-${name}" type=${type} name=${name} dir="auto" .value=${jobOptions.value[name]} aria-describedby="help-${name}"
      @change=${(event) => chooseOptions({ [name]: event.target.value.trim() })}>
    <p id="help-${name}" class="quiet-text small">${help}</p>
  </div>`;

/** A field for several lines. */
const linesField = (name, label, help) => html`
  <div class="field">
    <label for="option-${name}">${label}</label>
    <textarea id="option-${name}" name=${name} rows="3" dir="auto" .value=${jobOptions.value[name]} aria-describedby="help-${name}"
      @change=${(event) => chooseOptions({ [name]: event.target.value.trim() })}></textarea>
    <p id="help-${name}" class="quiet-text small">${help}</p>
  </div>`;

define("option-chips", OptionChips);
