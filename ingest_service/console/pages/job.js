import { ConsoleElement, define, html } from "../element.js";
import "../elements/page-header.js";
import { strings } from "../strings.js";

class PageJob extends ConsoleElement {
  static properties = { params: {} };

  render() {
    return html`<page-header .heading=${strings.job.title}></page-header>`;
  }
}

define("page-job", PageJob);
