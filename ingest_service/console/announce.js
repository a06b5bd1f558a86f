/** Say to everybody what has happened: a line at the bottom of the window, which screen readers read out. */

import { signal } from "./modules/@preact/signals-core/signals-core.module.js";

const SHOWN_MS = 6000;
let timer = 0;

/** The line that is shown now; empty: none. */
export const announcement = signal("");

/** Show a sentence for some seconds. Only what need not be read again belongs here. */
export function announce(text) {
  clearTimeout(timer);
  announcement.value = text;
  timer = setTimeout(() => { announcement.value = ""; }, SHOWN_MS);
}
