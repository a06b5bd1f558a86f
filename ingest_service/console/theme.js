/** The theme: "auto" follows the system; the choice is kept in this browser. */

import { effect, signal } from "./modules/@preact/signals-core/signals-core.module.js";
import { remembered, remember } from "./remember.js";

const KEY = "theme";

export const THEMES = ["auto", "light", "dark"];

/** One of THEMES. */
export const theme = signal(THEMES.includes(remembered(KEY)) ? remembered(KEY) : "auto");

effect(() => {
  remember(KEY, theme.value);
  if (theme.value === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.value;
});

/** Return a token's colour as canvas understands it: `light-dark()` is resolved for the element's theme. */
export function tokenColour(element, name) {
  const probe = document.createElement("span");
  probe.style.color = `var(--${name})`;
  element.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}
