/** Which page the address names; links of the console change it without loading the document again. */

import { signal } from "./modules/@preact/signals-core/signals-core.module.js";

const ROUTES = [
  [/^\/$/, "home"],
  [/^\/jobs$/, "jobs"],
  [/^\/jobs\/(?<id>[^/]+)$/, "job"],
  [/^\/queue$/, "queue"],
  [/^\/dead-letters$/, "dead-letters"],
  [/^\/webhooks$/, "webhooks"],
  [/^\/keys$/, "keys"],
  [/^\/licences$/, "licences"],
  [/^\/sign-in$/, "sign-in"],
];

/** Return `{page, path, params, query}` of a URL; null if it is no page of the console. */
export function matchRoute(url) {
  const path = url.pathname.replace(/\/+$/, "") || "/";
  for (const [pattern, page] of ROUTES) {
    const match = pattern.exec(path);
    if (match) return { page, path, params: { ...match.groups }, query: url.searchParams };
  }
  return null;
}

/** The current route. It changes with each navigation, also when only the query changes. */
export const route = signal(matchRoute(new URL(location.href)));

/** Show another page, or the same with another query. `replace` leaves no entry in the browser's history. */
export function navigate(to, { replace = false } = {}) {
  const url = new URL(to, location.href);
  const next = matchRoute(url);
  if (next === null) return location.assign(url);
  history[replace ? "replaceState" : "pushState"](null, "", url);
  route.value = next;
}

/** Follow clicks on links and the buttons of the browser. */
export function startRouter() {
  addEventListener("popstate", () => { route.value = matchRoute(new URL(location.href)); });
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href]");
    if (!link || !isPlainClick(event) || !isOfConsole(link)) return;
    event.preventDefault();
    navigate(link.href);
    scrollTo(0, 0);
  });
}

const isPlainClick = (event) =>
  !event.defaultPrevented && event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);

const isOfConsole = (link) =>
  link.origin === location.origin && !link.target && !link.hasAttribute("download") && !link.getAttribute("href").startsWith("#")
  && matchRoute(new URL(link.href)) !== null;
