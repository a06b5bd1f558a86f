/** `<speaker-legend>`: the speakers with their colours, their names and their shares, in the order of the lanes. */

import { ConsoleElement, define, html, nothing } from "../element.js";
import { formatPercent } from "../format.js";
import { sharesOf } from "../job/job-state.js";
import { colourOf } from "../job/speakers.js";
import { strings } from "../strings.js";

/** Properties: `lanes`, `edits` (an EditState, or null), `readonly`. */
export class SpeakerLegend extends ConsoleElement {
  static properties = { lanes: [], edits: null, readonly: true };

  render() {
    if (!this.lanes.length) return nothing;
    const speakers = this.lanes.map((lane) => lane.speaker);
    const shares = sharesOf(this.lanes);
    return html`<ul class="speaker-legend" aria-label=${strings.job.speakers.label}>
      ${speakers.map((label) => html`
        <li data-colour=${colourOf(speakers, label) + 1}>${this.#name(label)}
          <span class="small quiet-text">${formatPercent(shares.get(label))}</span></li>`)}</ul>`;
  }

  #name(label) {
    if (!this.edits) return html`<bdi>${label}</bdi>`;
    return html`<speaker-name .edits=${this.edits} .label=${label} .readonly=${this.readonly}></speaker-name>`;
  }
}

define("speaker-legend", SpeakerLegend);
