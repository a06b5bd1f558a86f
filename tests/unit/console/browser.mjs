/** What the console's modules need of a browser, for Node.js: requests and events are those that a test gives. */

const answers = []; // functions that get (method, path, headers) and return {status, body} or a promise of it

/** The requests so far, as "GET /v1/session". */
export const requests = [];

/** Answer all requests from now on. */
export const answerWith = (answer) => { answers[0] = answer; };

/** How often the document was loaded again. */
export const reloads = { count: 0 };

export class FakeEventSource {
  static all = [];
  static CLOSED = 2;

  constructor(path) {
    this.path = path;
    this.handlers = {};
    FakeEventSource.all.push(this);
  }

  addEventListener(type, handler) { this.handlers[type] = handler; }
  close() {}
  send(type, data) { this.handlers[type]({ type, data: JSON.stringify(data) }); }
}

async function fakeFetch(path, { method = "GET", headers = {}, signal } = {}) {
  requests.push(`${method} ${String(path).split("?")[0]}`);
  const stopped = new Promise((_, reject) => {
    signal?.addEventListener("abort", () => reject(new DOMException("stopped", "AbortError")));
  });
  const { status, body } = await Promise.race([answers[0](method, path, headers), stopped]);
  return new Response(status === 204 ? null : JSON.stringify(body), { status });
}

Object.assign(globalThis, {
  HTMLElement: class {},
  document: { hidden: false, addEventListener() {}, createComment() {}, createTreeWalker: () => ({}) },
  location: { href: "http://127.0.0.1/", reload() { reloads.count += 1; } },
  EventSource: FakeEventSource,
  fetch: fakeFetch,
});
