/** Start the console: find the session, then show the page that the address names, and its style. */

import { loadSession } from "./account.js";
import { computed, effect, signal } from "./element.js";
import "./elements/app-layout.js";
import { navigate, route, startRouter } from "./router.js";
import { session } from "./session.js";
import { strings } from "./strings.js";
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
    await loadPage(name);
    sessionStorage.removeItem(RELOADED);
  } catch (error) {
    await explain(error);
    return;
  }
  if (shown !== identity.peek()) return; // the user has gone on
  page.value = Object.assign(document.createElement(`page-${name}`), { params: route.peek().params });
}

const loadPage = (name) => Promise.all([import(`./pages/${name}.js`), loadStyle(`./pages/${name}.css`)]);

const styles = new Map(); // a promise for each URL

function loadStyle(path) {
  const { href } = new URL(path, import.meta.url);
  if (!styles.has(href)) {
    styles.set(href, new Promise((resolve, reject) => {
      const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href });
      link.addEventListener("load", resolve);
      link.addEventListener("error", () => reject(new Error(href)));
      document.head.append(link);
    }));
  }
  return styles.get(href);
}

/** Show why a page could not be loaded. When the service has another version now, the files are gone: load the document again. */
async function explain(error) {
  const answer = await fetch(import.meta.url, { cache: "no-store" }).catch(() => null);
  if (answer?.status !== 404 || sessionStorage.getItem(RELOADED)) {
    page.value = answer ? error : new Error(strings.errors.offlineDetail);
    return;
  }
  sessionStorage.setItem(RELOADED, "1");
  location.reload();
}

document.querySelector("app-layout").page = page;
loadPage(route.peek().page).catch(() => {}); // while the session is asked for; `show` meets the same error
startRouter();
effect(() => { identity.value; show(); });
effect(() => { if (session.value && route.value.page === "sign-in") navigate("/", { replace: true }); });
loadSession().catch((error) => { page.value = error; });
