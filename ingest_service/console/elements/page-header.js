/** The heading of a page, with actions beside it. It names the document, and has the focus after a navigation. */

import { ConsoleElement, define, html, nothing } from "../element.js";
import { strings } from "../strings.js";

class PageHeader extends ConsoleElement {
  static properties = {
    heading: "", // text
    intro: "", // a sentence below it
    actions: nothing, // a template: buttons
  };

  static #isFirstPage = true; // the browser itself places the focus when it loads the document

  #hasFocused = false;

  render() {
    return html`
      <div class="page-heading">
        <h1 id="page-title" tabindex="-1" dir="auto">${this.heading}</h1>
        <div class="actions">${this.actions}</div>
      </div>
      ${this.intro ? html`<p class="quiet-text page-intro">${this.intro}</p>` : nothing}`;
  }

  rendered() {
    document.title = this.heading === strings.home.title ? strings.app.name : `${this.heading} · ${strings.app.name}`;
    if (this.#hasFocused) return;
    this.#hasFocused = true;
    if (!PageHeader.#isFirstPage) this.querySelector("h1").focus({ preventScroll: true });
    PageHeader.#isFirstPage = false;
  }
}

define("page-header", PageHeader);
