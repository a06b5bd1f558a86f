/** Requests to the public API. Every answer that is not a success becomes an ApiError with the words of the service. */

import { session } from "./session.js";
import { strings } from "./strings.js";

const RECONNECT_MS = 5000;

/** A refusal of the API (a problem, RFC 9457), or `status` 0 and code "offline" if there was no answer. */
export class ApiError extends Error {
  constructor({ status, code, title, detail }) {
    super(detail || title);
    Object.assign(this, { status, code, title, detail });
  }
}

/** GET a path. `query` may hold lists; what is empty is left out. `as`: "json", "text" or "response". */
export const get = (path, options) => request("GET", path, options);

/** POST to a path; an object in `body` is sent as JSON. */
export const post = (path, options) => request("POST", path, options);

/** PUT to a path; an object in `body` is sent as JSON. */
export const put = (path, options) => request("PUT", path, options);

/** PATCH a path; an object in `body` is sent as JSON. */
export const patch = (path, options) => request("PATCH", path, options);

/** DELETE a path. */
export const del = (path, options) => request("DELETE", path, options);

async function request(method, path, { query, body, headers, signal, as = "json" } = {}) {
  const attempt = () => send(withQuery(path, query), {
    method,
    signal,
    credentials: "same-origin",
    headers: { ...bodyHeaders(body), ...(method === "GET" ? {} : csrfHeaders()), ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  let answer = await attempt();
  if (answer.status === 403 && await isOfNewSession(answer.clone())) answer = await attempt();
  if (!answer.ok) throw await refusal(answer);
  if (as === "response") return answer;
  if (as === "text") return answer.text();
  return answer.status === 204 ? null : answer.json();
}

async function send(url, options) {
  try {
    return await fetch(url, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError({ status: 0, code: "offline", title: strings.errors.offline, detail: strings.errors.offlineDetail });
  }
}

/** Take the session that another window has begun. Return whether the refused request may be sent again: the tenant is the same. */
async function isOfNewSession(refused) {
  if (problemOf(refused.status, await refused.text()).code !== "invalid_csrf_token") return false;
  const before = session.peek()?.tenant;
  session.value = await get("/v1/session");
  return session.peek().tenant === before;
}

async function refusal(answer) {
  if (answer.status === 401) session.value = null; // main.js shows the sign-in page
  return problemOf(answer.status, await answer.text());
}

/** Return the ApiError of an answer's status and body. */
export function problemOf(status, text) {
  try {
    const { code, title, detail } = JSON.parse(text);
    return new ApiError({ status, code, title, detail });
  } catch {
    return new ApiError({ status, code: "unknown", title: strings.errors.unexpected(status), detail: "" });
  }
}

const bodyHeaders = (body) => (body === undefined ? {} : { "Content-Type": "application/json" });

/** The header that proves to the service that its own page sent a request. */
export function csrfHeaders() {
  const token = session.peek()?.csrf_token;
  return token ? { "X-CSRF-Token": token } : {};
}

/** Return a path with query parameters. */
export function withQuery(path, query = {}) {
  const pairs = Object.entries(query).flatMap(([name, value]) => [value].flat().map((one) => [name, one]));
  const text = new URLSearchParams(pairs.filter(([, value]) => value !== undefined && value !== null && value !== ""));
  return text.size ? `${path}?${text}` : path;
}

/**
 * Follow a stream of server-sent events. `handler(data, type)` gets each event; `types` names those that have a name.
 * Broken streams are opened again until the returned function is called: call it when a job is over. A hidden window
 * closes its stream, because a browser opens only six connections to a host for all its windows. It opens another one
 * when it is shown again.
 */
export function events(path, handler, types = []) {
  let source = null;
  let timer = 0;
  const ended = new AbortController();
  const close = () => {
    clearTimeout(timer);
    source?.close();
    source = null;
  };
  const open = () => {
    if (document.hidden || ended.signal.aborted) return;
    close();
    source = new EventSource(path);
    const receive = (event) => handler(JSON.parse(event.data), event.type);
    for (const type of ["message", ...types]) source.addEventListener(type, receive);
    source.addEventListener("error", () => {
      if (source?.readyState === EventSource.CLOSED) timer = setTimeout(reopen, RECONNECT_MS); // else the browser reconnects
    });
  };
  const reopen = async () => {
    await get("/v1/session").catch(() => {}); // a session that has ended shows the sign-in page
    open();
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()), { signal: ended.signal });
  ended.signal.addEventListener("abort", close);
  open();
  return () => ended.abort();
}
