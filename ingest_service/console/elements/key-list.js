/** The API keys of the tenant, and a button that revokes each. */

import { announce } from "../announce.js";
import { del } from "../api.js";
import { ConsoleElement, define, html, nothing, signal } from "../element.js";
import { formatNumber, formatShortTime, formatTime } from "../format.js";
import { can } from "../session.js";
import { strings } from "../strings.js";
import { confirm } from "./confirm-dialog.js";
import "./empty-state.js";
import "./error-note.js";

const KINDS = { valid: "good", expired: "", revoked: "" };
const text = strings.keys.list;

/** Event: `changed`, after a key was revoked. */
class KeyList extends ConsoleElement {
  static properties = { keys: [] };

  #showsEnded = signal(false);
  #error = signal(null);

  render() {
    if (!this.keys.length) return html`<empty-state .icon=${"key"} .heading=${text.empty} .text=${text.emptyText}></empty-state>`;
    const ended = this.keys.filter((key) => stateOf(key) !== "valid").length;
    const shown = this.keys.filter((key) => this.#showsEnded.value || stateOf(key) === "valid");
    return html`
      <error-note .error=${this.#error.value}></error-note>
      <div class="table-scroll" tabindex="0" role="region" aria-label=${text.label}>
        <table>
          <thead><tr>${["purpose", "key", "scopes", "created", "expires", "state"].map((name) => html`<th scope="col">${text[name]}</th>`)}
            ${can("admin") ? html`<td></td>` : nothing}</tr></thead>
          <tbody>${shown.map((key) => this.#row(key))}</tbody>
        </table>
      </div>
      ${ended ? html`<label class="check small"><input type="checkbox" @change=${(event) => { this.#showsEnded.value = event.target.checked; }}>
        ${text.showEnded(formatNumber(ended))}</label>` : nothing}`;
  }

  #row(key) {
    const state = stateOf(key);
    return html`
      <tr>
        <th scope="row" dir="auto">${key.purpose}</th>
        <td><code>hr_${key.key_id}_…</code></td>
        <td>${[...key.scopes, ...(key.operates ? ["operate"] : [])].join(", ")}</td>
        <td>${moment(key.created_at)}</td>
        <td>${key.expires_at ? moment(key.expires_at) : text.never}</td>
        <td><span class="badge ${KINDS[state]}">${text.states[state]}</span></td>
        ${can("admin") ? html`<td>${state === "valid" ? this.#revokeButton(key) : nothing}</td>` : nothing}
      </tr>`;
  }

  #revokeButton(key) {
    return html`<button class="quiet" aria-label=${text.revokeOf(key.purpose, key.key_id)} @click=${() => this.#revoke(key)}>${text.revoke}</button>`;
  }

  async #revoke({ key_id: id, purpose }) {
    if (!await confirm(text.confirm(purpose, id))) return;
    try {
      this.#error.value = null;
      await del(`/v1/keys/${id}`);
      announce(text.revoked);
    } catch (error) {
      this.#error.value = error;
    }
    this.emit("changed");
  }
}

const moment = (time) => html`<time datetime=${time} title=${formatTime(time)}>${formatShortTime(time)}</time>`;

function stateOf(key) {
  if (key.revoked_at) return "revoked";
  return key.expires_at && new Date(key.expires_at) <= new Date() ? "expired" : "valid";
}

define("key-list", KeyList);
