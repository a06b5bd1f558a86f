/** `<speaker-statistics>`: how much each speaker talks, as a table, in the order of the transcript. */

import { ConsoleElement, define, html, nothing } from "../element.js";
import { formatClock, formatNumber, formatPercent } from "../format.js";
import { strings } from "../strings.js";

/** Properties: `statistics` (of a transcript, or undefined), `nameOf` (label → name). */
export class SpeakerStatistics extends ConsoleElement {
  static properties = { statistics: undefined, nameOf: (label) => label };

  render() {
    if (!this.statistics?.length) return nothing;
    const text = strings.job.speakers;
    return html`
      <div class="table-scroll" tabindex="0" role="region" aria-label=${text.label}>
        <table class="speaker-statistics small">
          <thead><tr>${text.columns.map((column) => html`<th scope="col">${column}</th>`)}</tr></thead>
          <tbody>${this.statistics.map((one) => this.#row(one))}</tbody>
        </table>
      </div>`;
  }

  #row(one) {
    const rate = one.words_per_minute === null ? "" : formatNumber(Math.round(one.words_per_minute));
    const cells = [
      `${formatClock(one.talk_time)} · ${formatPercent(one.share)}`,
      formatNumber(one.turns),
      formatClock(one.longest_turn),
      formatClock(one.overlap),
      rate,
    ];
    return html`<tr><th scope="row"><bdi>${this.nameOf(one.speaker)}</bdi></th>${cells.map((cell) => html`<td>${cell}</td>`)}</tr>`;
  }
}

define("speaker-statistics", SpeakerStatistics);
