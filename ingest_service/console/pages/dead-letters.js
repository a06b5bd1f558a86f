import { ConsoleElement, define, html } from "../element.js";
import "../elements/page-header.js";
import { strings } from "../strings.js";

class PageDeadLetters extends ConsoleElement {
  static properties = { params: {} };

  render() {
    return html`<page-header .heading=${strings.deadLetters.title}></page-header>`;
  }
}

define("page-dead-letters", PageDeadLetters);
