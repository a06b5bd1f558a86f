/** The frame around every page: navigation, the caller, the theme, the page, and the line that says what has happened. */

import { signOut } from "../account.js";
import { announcement } from "../announce.js";
import { ConsoleElement, define, html, nothing, signal } from "../element.js";
import { route } from "../router.js";
import { can, session } from "../session.js";
import { strings } from "../strings.js";
import { theme, THEMES } from "../theme.js";
import "./error-note.js";
import { icon } from "./icons.js";

const text = strings.app;
const sees = { always: () => true, admin: () => can("admin") || can("observe") };
const LINKS = [
  { page: "home", path: "/", icon: "upload", label: strings.home.title, sees: sees.always },
  { page: "jobs", path: "/jobs", icon: "list", label: strings.jobs.title, sees: sees.always },
  { page: "queue", path: "/queue", icon: "pulse", label: strings.queue.nav, sees: sees.always },
  { page: "dead-letters", path: "/dead-letters", icon: "alert", label: strings.deadLetters.title, sees: sees.admin },
  { page: "webhooks", path: "/webhooks", icon: "send", label: strings.webhooks.title, sees: sees.always },
  { page: "keys", path: "/keys", icon: "key", label: strings.keys.nav, sees: sees.always },
];

class AppLayout extends ConsoleElement {
  static properties = { page: null }; // a signal: the element of the page, an Error, or null while it loads

  #isOpen = signal(false); // the menu, on a phone

  connected() {
    this.watch(() => { route.value; this.#isOpen.value = false; });
  }

  render() {
    const shown = this.page?.value;
    return html`
      <a class="skip-link" href="#page-title" @click=${skip}>${text.skip}</a>
      ${session.value ? this.#sidebar() : nothing}
      <main class="page" aria-busy=${shown === null}>
        ${shown instanceof Error ? html`<error-note .error=${shown} .heading=${strings.errors.pageFailed} .retry=${() => location.reload()}></error-note>` : shown}
      </main>
      <div class="announcement" role="status" aria-live="polite">${announcement.value}</div>`;
  }

  #sidebar() {
    return html`
      <header class=${this.#isOpen.value ? "sidebar open" : "sidebar"}>
        <div class="sidebar-head">
          <a class="brand" href="/">${icon("logo")}<span>${text.name}</span></a>
          <button class="quiet menu-button" aria-expanded=${this.#isOpen.value} aria-controls="menu"
            @click=${() => { this.#isOpen.value = !this.#isOpen.value; }}>${icon("menu")}<span>${text.menu}</span></button>
        </div>
        <div class="menu" id="menu">
          <nav aria-label=${text.navigation}><ul>${LINKS.filter((link) => link.sees()).map(navigationLink)}</ul></nav>
          ${callerBox(session.value)}
        </div>
      </header>`;
  }
}

const navigationLink = (link) => html`
  <li><a href=${link.path} aria-current=${isCurrent(link) ? "page" : nothing}>${icon(link.icon)}<span>${link.label}</span></a></li>`;

const isCurrent = (link) => link.page === route.value.page || (link.page === "jobs" && route.value.page === "job");

const callerBox = (caller) => html`
  <div class="caller">
    <dl>
      <dt>${text.tenant}</dt>
      <dd dir="auto">${caller.tenant}</dd>
      <dd class="quiet-text">${caller.auth === "none" ? text.noKeys : text.role(caller.scopes, caller.operates)}</dd>
    </dl>
    ${themeSwitch()}
    <ul class="small-links">
      <li><a href="/docs">${text.apiReference}</a></li>
      <li><a href="/licences">${text.licences}</a></li>
      ${caller.auth === "none" ? nothing : html`<li><button class="link" @click=${signOut}>${text.signOut}</button></li>`}
    </ul>
  </div>`;

const themeSwitch = () => html`
  <fieldset class="segmented">
    <legend class="visually-hidden">${text.theme}</legend>
    ${THEMES.map((name) => html`
      <label><input type="radio" name="theme" .checked=${theme.value === name} @change=${() => { theme.value = name; }}>
        <span>${text.themes[name]}</span></label>`)}
  </fieldset>`;

function skip(event) {
  event.preventDefault();
  document.querySelector("#page-title")?.focus();
}

define("app-layout", AppLayout);
