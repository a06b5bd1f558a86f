import assert from "node:assert/strict";
import { once } from "node:events";
import { after, beforeEach, test } from "node:test";
import { answerWith, reloads, requests } from "./browser.mjs";

const { loadSession, signOut } = await import("./console/account.js");
const { put } = await import("./console/api.js");
const { editsOf } = await import("./console/job/edit-state.js");
const { session } = await import("./console/session.js");

let current = { tenant: "acme", csrf_token: "new" }; // the session of the browser's cookie; null: none
const other = new BroadcastChannel("headrace session"); // another window
after(() => setImmediate(() => process.exit())); // the channel of account.js stays open as in a window

function service(method, path, headers) {
  if (current === null) return { status: 401, body: { code: "unauthorized", title: "", detail: "" } };
  if (method === "GET") return { status: 200, body: current };
  if (headers["X-CSRF-Token"] !== current.csrf_token) return { status: 403, body: { code: "invalid_csrf_token", title: "", detail: "" } };
  return { status: method === "DELETE" ? 204 : 200, body: { version: 1 } };
}

beforeEach(async () => {
  current = { tenant: "acme", csrf_token: "new" };
  answerWith(service);
  await loadSession();
  Object.assign(reloads, { count: 0 });
  requests.length = 0;
});

test("a request is sent again with the session that another window began", async () => {
  session.value = { ...session.peek(), csrf_token: "old" };
  assert.deepEqual(await put("/v1/x", { body: {} }), { version: 1 });
  assert.deepEqual(requests, ["PUT /v1/x", "GET /v1/session", "PUT /v1/x"]);
});

test("a request of one tenant is not sent for another", async () => {
  current = { tenant: "globex", csrf_token: "of globex" };
  await assert.rejects(put("/v1/x", { body: {} }), { code: "invalid_csrf_token" });
  assert.deepEqual(requests, ["PUT /v1/x", "GET /v1/session"]);
  assert.equal(reloads.count, 1);
});

test("a window follows when another one signs in or out", async () => {
  const changed = (wanted) => new Promise((resolve) => {
    const stop = session.subscribe((value) => { if (value?.tenant === wanted) setImmediate(() => { stop(); resolve(); }); });
  });
  current = null;
  other.postMessage("changed");
  await changed(undefined);
  current = { tenant: "acme", csrf_token: "newest" };
  other.postMessage("changed");
  await changed("acme");
  assert.equal(session.peek().csrf_token, "newest");
  assert.equal(reloads.count, 0);
});

test("corrections that are not saved outlive the session", async () => {
  const edits = editsOf("job");
  edits.setWord(0, 1, "teh", "the");
  session.value = null;
  session.value = { ...current };
  assert.equal(editsOf("job"), edits);
  assert.equal(edits.pending, 1);
});

test("signing out loads the document again, also when the session has ended", async () => {
  const seen = once(other, "message");
  await signOut();
  await seen;
  current = null;
  await signOut();
  assert.equal(session.peek(), null);
  assert.equal(reloads.count, 2);
});
