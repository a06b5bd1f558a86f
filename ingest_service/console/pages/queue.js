import { ConsoleElement, define, html } from "../element.js";
import "../elements/page-header.js";
import { strings } from "../strings.js";

class PageQueue extends ConsoleElement {
  static properties = { params: {} };

  render() {
    return html`<page-header .heading=${strings.queue.title}></page-header>`;
  }
}

define("page-queue", PageQueue);
