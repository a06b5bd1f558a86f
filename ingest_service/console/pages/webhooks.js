/** Webhooks: the tenant's endpoints, a test of any URL, verify events, the log of all attempts, the secret. */

import { ConsoleElement, define, html, nothing } from "../element.js";
import "../elements/page-header.js";
import "../elements/webhook-endpoints.js";
import "../elements/webhook-log.js";
import "../elements/webhook-secret.js";
import "../elements/webhook-test.js";
import "../elements/webhook-verify.js";
import { can } from "../session.js";
import { strings } from "../strings.js";

const text = strings.webhooks;

class PageWebhooks extends ConsoleElement {
  static properties = { params: {} };

  render() {
    const mayLook = can("admin") || can("observe");
    return html`
      <page-header .heading=${text.title} .intro=${text.intro}></page-header>
      <div class="stack">
        ${mayLook ? html`<webhook-log></webhook-log>` : html`<p class="note">${text.needsAdminText}</p>`}
        ${mayLook ? html`<webhook-endpoints></webhook-endpoints>` : nothing}
        ${can("admin") ? html`<webhook-test></webhook-test>` : nothing}
        <webhook-verify></webhook-verify>
        <webhook-secret></webhook-secret>
      </div>`;
  }
}

define("page-webhooks", PageWebhooks);
