/** The options of the next jobs, as the user chose them last. Their names are those of the API. */

import { effect, signal } from "../element.js";
import { remember, remembered } from "../remember.js";

const KEY = "options";

/** The API's defaults. Only what differs from them is sent. */
export const DEFAULTS = {
  language: "",
  task: "transcribe",
  model: "",
  denoise: true,
  transcribe_from: "original",
  word_timestamps: true,
  searchable: false,
  diarize: false,
  num_speakers: "",
  channels: "mix",
  start: "",
  end: "",
  diarize_only: false,
  prompt: "",
  keyterms: "",
  text: "",
  summary: false,
  chapters: false,
  action_items: false,
  redact: "",
  redact_audio: "none",
  profanity: "keep",
  results_to: "",
  webhook_url: "",
};

/** The options chosen, each as in DEFAULTS. */
export const jobOptions = signal({ ...DEFAULTS, ...known(remembered(KEY)) });

/** What is about one recording is not remembered for those of another day. */
effect(() => {
  const { start, end, text, ...kept } = changedOptions(jobOptions.value);
  if (kept.results_to?.startsWith("{")) delete kept.results_to; // presigned URLs: each is for one result, and a secret
  remember(KEY, kept);
});

/** Choose some options. Options that do not go together follow. */
export function chooseOptions(chosen) {
  const next = { ...jobOptions.peek(), ...chosen };
  if (!next.denoise) next.transcribe_from = "original";
  if (!next.diarize && !next.diarize_only) next.num_speakers = "";
  if (next.diarize_only) Object.assign(next, { channels: "mix", transcribe_from: "original" });
  if (next.text) Object.assign(next, { diarize_only: false, task: "transcribe", channels: "mix", word_timestamps: true });
  next.redact = next.redact.replaceAll(" ", "");
  if (!next.redact) next.redact_audio = "none";
  jobOptions.value = next;
}

/** Return the options that differ from the defaults, as they are sent. */
export function changedOptions(options) {
  return Object.fromEntries(Object.entries(options).filter(([name, value]) => value !== DEFAULTS[name]));
}

/** Drop what an older version of the console remembered and this one does not know. */
function known(options) {
  return Object.fromEntries(Object.entries(options ?? {}).filter(([name, value]) => typeof value === typeof DEFAULTS[name]));
}
