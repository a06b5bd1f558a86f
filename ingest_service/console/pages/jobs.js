import { ConsoleElement, define, html } from "../element.js";
import "../elements/page-header.js";
import { strings } from "../strings.js";

class PageJobs extends ConsoleElement {
  static properties = { params: {} };

  render() {
    return html`<page-header .heading=${strings.jobs.title}></page-header>`;
  }
}

define("page-jobs", PageJobs);
