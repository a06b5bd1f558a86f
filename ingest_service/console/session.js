/** Who uses the console: what `GET /v1/session` answers. account.js sets it. */

import { signal } from "./modules/@preact/signals-core/signals-core.module.js";

/** `{tenant, scopes, operates, auth, csrf_token, expires_at}`; null: signed out; undefined: not known yet. */
export const session = signal(undefined);

/** Return whether the caller's key has a scope: "submit", "read", "admin" or "observe", which "admin" includes. */
export function can(scope) {
  const scopes = session.value?.scopes ?? [];
  return scopes.includes(scope) || (scope === "observe" && scopes.includes("admin"));
}
