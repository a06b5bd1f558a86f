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
  diarize: false,
  num_speakers: "",
  channels: "mix",
  prompt: "",
  webhook_url: "",
};

/** The options chosen, each as in DEFAULTS. */
export const jobOptions = signal({ ...DEFAULTS, ...known(remembered(KEY)) });

effect(() => remember(KEY, changedOptions(jobOptions.value)));

/** Choose some options. Options that do not go together follow. */
export function chooseOptions(chosen) {
  const next = { ...jobOptions.peek(), ...chosen };
  if (!next.denoise) next.transcribe_from = "original";
  if (!next.diarize) next.num_speakers = "";
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
