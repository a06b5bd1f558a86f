/** Start the console: find the session, then show the page that the address names, and its style. */

import { loadSession } from "./account.js";
import { computed, effect, signal } from "./element.js";
import "./elements/app-layout.js";
import { navigate, route, startRouter } from "./router.js";
import { session } from "./session.js";
import "./theme.js";

const RELOADED = "headrace.reloaded";

/** The page's element, which the layout shows; an Error if it could not be loaded. */
export const page = signal(null);

const wanted = computed(() => {
  if (session.value === undefined) return null;
  return session.value === null ? "sign-in" : route.value.page;
});
const identity = computed(() => wanted.value && `${wanted.value} ${route.value.path}`); // the query is no other page

async function show() {
  const name = wanted.value;
  const shown = identity.value;
  if (name === null) return;
  try {
    await Promise.all([import(`./pages/${name}.js`), loadStyle(`./pages/${name}.css`)]);
    sessionStorage.removeItem(RELOADED);
  } catch (error) {
    return reloadOnce(error);
  }
  if (shown !== identity.peek()) return; // the user has gone on
  page.value = Object.assign(document.createElement(`page-${name}`), { params: route.peek().params });
}

/** The files of a page are gone when the service has another version now: the document loads the new one. */
function reloadOnce(error) {
  if (sessionStorage.getItem(RELOADED)) {
    page.value = error;
    return;
  }
  sessionStorage.setItem(RELOADED, "1");
  location.reload();
}

function loadStyle(path) {
  const { href } = new URL(path, import.meta.url);
  const known = [...document.styleSheets].some((sheet) => sheet.href === href);
  if (known) return null;
  const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href });
  const loaded = new Promise((resolve, reject) => {
    link.addEventListener("load", resolve);
    link.addEventListener("error", () => reject(new Error(href)));
  });
  document.head.append(link);
  return loaded;
}

document.querySelector("app-layout").page = page;
startRouter();
effect(() => { identity.value; show(); });
effect(() => { if (session.value && route.value.page === "sign-in") navigate("/", { replace: true }); });
loadSession().catch((error) => { page.value = error; });
