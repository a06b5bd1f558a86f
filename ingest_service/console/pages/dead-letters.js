/** Dead letters by failure code: what failed for good, and why; redrive or discard one or all of a code. */

import { get } from "../api.js";
import { ConsoleElement, define, html, nothing, signal } from "../element.js";
import "../elements/dead-letter-group.js";
import "../elements/empty-state.js";
import "../elements/error-note.js";
import "../elements/page-header.js";
import { poll } from "../poll.js";
import { navigate, route } from "../router.js";
import { can, session } from "../session.js";
import { strings } from "../strings.js";

const EVERY_S = 15;
const text = strings.deadLetters;

class PageDeadLetters extends ConsoleElement {
  static properties = { params: {} };

  #counts = signal(null); // null: not loaded
  #error = signal(null);
  #stop = null;
  #elements = new Map(); // by code

  connected() {
    this.watch(() => {
      if (route.value.page !== "dead-letters") return;
      this.#stop?.(); // another tenant was chosen
      this.#stop = poll(this.#load, EVERY_S);
    });
  }

  disconnected() {
    this.#stop?.();
  }

  render() {
    return html`
      <page-header .heading=${text.title} .intro=${text.intro} .actions=${session.value?.operates ? tenantSwitch() : nothing}></page-header>
      <error-note .error=${this.#error.value} .retry=${this.#load}></error-note>
      ${this.#counts.value === null ? nothing : this.#groups(this.#counts.value)}`;
  }

  #groups(counts) {
    if (!counts.length) return html`<empty-state .icon=${"check"} .heading=${text.empty} .text=${text.emptyText}></empty-state>`;
    return html`
      ${mayChange() ? nothing : html`<p class="quiet-text">${text.readOnly}</p>`}
      <div class="stack" @changed=${this.#load}>
        ${counts.map((group) => this.#element(group))}
      </div>`;
  }

  /** Return the element of a code. It keeps what is open when other codes come and go. */
  #element(group) {
    const { code } = group;
    if (!this.#elements.has(code)) {
      const isOpen = route.peek().query.get("code") === code;
      this.#elements.set(code, Object.assign(document.createElement("dead-letter-group"), { isOpen }));
    }
    return Object.assign(this.#elements.get(code), { group, tenant: chosenTenant(), canChange: mayChange() });
  }

  #load = async () => {
    try {
      const found = await get("/v1/dead-letters/counts", { query: { tenant: chosenTenant() }, signal: this.signal });
      this.#counts.value = inOrderOf(this.#counts.peek() ?? [], found.counts);
      this.#error.value = null;
    } catch (error) {
      if (error.name !== "AbortError") this.#error.value = error;
    }
  };
}

const chosenTenant = () => (session.peek()?.operates ? route.peek().query.get("tenant") ?? "" : "");

/** The most frequent first; what is shown already stays in its place. */
function inOrderOf(shown, counts) {
  const places = new Map(shown.map(({ code }, index) => [code, index]));
  const placeOf = ({ code }) => places.get(code) ?? shown.length;
  return [...counts].sort((one, other) => placeOf(one) - placeOf(other));
}

/** An operator's key that only observes changes nothing. */
const mayChange = () => can("admin") || (session.value?.operates && !can("observe"));

const tenantSwitch = () => html`
  <fieldset class="segmented">
    <legend class="visually-hidden">${text.tenants}</legend>
    ${[["", text.ownTenant], ["*", text.allTenants]].map(([value, label]) => html`
      <label><input type="radio" name="tenants" .checked=${(route.value.query.get("tenant") ?? "") === value}
        @change=${() => navigate(value ? `/dead-letters?tenant=${encodeURIComponent(value)}` : "/dead-letters")}><span>${label}</span></label>`)}
  </fieldset>`;

define("page-dead-letters", PageDeadLetters);
