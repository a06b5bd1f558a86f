/** What a page shows when there is nothing yet: what would be here, and how to get it. */

import { ConsoleElement, define, html, nothing } from "../element.js";
import { icon } from "./icons.js";

class EmptyState extends ConsoleElement {
  static properties = {
    icon: "info", // a name of icons.js
    heading: "",
    text: "",
    action: nothing, // a template: a link or button
  };

  render() {
    return html`
      <div class="empty-state">
        ${icon(this.icon)}
        <p><strong>${this.heading}</strong></p>
        ${this.text ? html`<p class="quiet-text">${this.text}</p>` : nothing}
        ${this.action}
      </div>`;
  }
}

define("empty-state", EmptyState);
