/** Sign in and out: exchange a key for a session cookie, which also media and event streams send. */

import { ApiError, del, get, post } from "./api.js";
import { effect } from "./element.js";
import { session } from "./session.js";

const windows = new BroadcastChannel("headrace session"); // the windows of a browser share the cookie
let tenant; // of this document: its uploads, corrections and lists are of this tenant

/** Find out whether there is a session, or none is needed. */
export async function loadSession() {
  try {
    session.value = await get("/v1/session");
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 401) throw error;
    session.value = null;
  }
}

/** Exchange an API key for a session. Throws ApiError. */
export async function signIn(key) {
  session.value = await post("/v1/session", { headers: { Authorization: `Bearer ${key}` } });
  windows.postMessage("changed");
}

/** End the session. */
export async function signOut() {
  await del("/v1/session").catch((error) => { if (error.status !== 401) throw error; }); // it had ended before
  session.value = null;
  windows.postMessage("changed");
  location.reload(); // forgets what this document holds of the tenant
}

windows.addEventListener("message", () => { loadSession().catch(() => {}); }); // the next request shows what is wrong

effect(() => {
  const now = session.value?.tenant;
  if (now !== undefined && tenant !== undefined && now !== tenant) location.reload(); // nothing of one tenant goes to another
  tenant = now ?? tenant;
});
