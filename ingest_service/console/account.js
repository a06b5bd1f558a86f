/** Sign in and out: exchange a key for a session cookie, which also media and event streams send. */

import { ApiError, del, get, post } from "./api.js";
import { session } from "./session.js";

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
}

/** End the session. */
export async function signOut() {
  await del("/v1/session");
  session.value = null;
}
