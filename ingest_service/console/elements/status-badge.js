/** A job's status in words, with its colour. */

import { ConsoleElement, define, html, nothing } from "../element.js";
import { strings } from "../strings.js";

const KINDS = { QUEUED: "", PROCESSING: "info", COMPLETED: "good", FAILED: "bad", CANCELLED: "warn" };

class StatusBadge extends ConsoleElement {
  static properties = {
    status: "", // QUEUED, PROCESSING, COMPLETED, FAILED or CANCELLED
    stage: null, // shown while the job runs
  };

  render() {
    const stage = this.status === "PROCESSING" && this.stage ? html`<span class="quiet-text"> ${strings.stage[this.stage]}</span>` : nothing;
    return html`<span class="badge ${KINDS[this.status] ?? ""}">${strings.status[this.status] ?? this.status}</span>${stage}`;
  }
}

define("status-badge", StatusBadge);
