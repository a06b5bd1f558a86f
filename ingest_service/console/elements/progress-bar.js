/** A bar that fills. */

import { ConsoleElement, define, html } from "../element.js";
import { formatPercent } from "../format.js";

class ProgressBar extends ConsoleElement {
  static properties = {
    value: 0, // 0 to 1; null: it is not known how far
    label: "", // what progresses, for screen readers
    kind: "", // good, bad, warn
  };

  render() {
    const isKnown = this.value !== null;
    return html`
      <span class="progress ${this.kind} ${isKnown ? "" : "unknown"}" role="progressbar" aria-label=${this.label}
        aria-valuemin="0" aria-valuemax="100" aria-valuenow=${isKnown ? Math.round(this.value * 100) : ""}
        aria-valuetext=${isKnown ? formatPercent(this.value) : ""}><span></span></span>`;
  }

  rendered() {
    this.querySelector(".progress > span").style.inlineSize = `${(this.value ?? 1) * 100}%`; // no style attribute: see the policy
  }
}

define("progress-bar", ProgressBar);
