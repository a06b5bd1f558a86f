import { ConsoleElement, define, html } from "../element.js";
import "../elements/page-header.js";
import { strings } from "../strings.js";

class PageHome extends ConsoleElement {
  static properties = { params: {} };

  render() {
    return html`<page-header .heading=${strings.home.title}></page-header>`;
  }
}

define("page-home", PageHome);
