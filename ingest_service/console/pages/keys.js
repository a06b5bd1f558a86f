import { ConsoleElement, define, html } from "../element.js";
import "../elements/page-header.js";
import { strings } from "../strings.js";

class PageKeys extends ConsoleElement {
  static properties = { params: {} };

  render() {
    return html`<page-header .heading=${strings.keys.title}></page-header>`;
  }
}

define("page-keys", PageKeys);
