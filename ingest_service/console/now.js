/** The time, for ages on the page: it moves every ten seconds while the window can be seen. */

import { signal } from "./modules/@preact/signals-core/signals-core.module.js";

const STEP_MS = 10000;

/** Milliseconds since 1970. An element that reads it in `render` shows ages that grow. */
export const now = signal(Date.now());

const tick = () => { if (!document.hidden) now.value = Date.now(); };

setInterval(tick, STEP_MS);
document.addEventListener("visibilitychange", tick);
