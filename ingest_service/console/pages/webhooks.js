import { ConsoleElement, define, html } from "../element.js";
import "../elements/page-header.js";
import { strings } from "../strings.js";

class PageWebhooks extends ConsoleElement {
  static properties = { params: {} };

  render() {
    return html`<page-header .heading=${strings.webhooks.title}></page-header>`;
  }
}

define("page-webhooks", PageWebhooks);
