/** Text of the API: what it has in backticks is code. */

import { html } from "../element.js";

/** Return a template of a text such as "`model` must be a name". Nothing in it is markup. */
export function apiText(text) {
  const parts = String(text ?? "").split("`");
  return parts.map((part, index) => (index % 2 && index < parts.length - 1 ? html`<code>${part}</code>` : part));
}
