/** Uploads that a reload of the page interrupted: the browser forgets the files, tus remembers where they stopped. */

import { del } from "../api.js";
import { session } from "../session.js";

const KEPT_MS = 24 * 3600 * 1000; // as long as the service keeps them by default

/** What names an upload of this tenant: the same file with the same options continues where it stopped. */
export const fingerprint = (file, options) =>
  [prefix(), file.name, file.type, file.size, file.lastModified, JSON.stringify(options)].join("/");

/** Return the unfinished uploads of this tenant, newest first, as `{name, bytes, fingerprint, key, url}`. */
export function unfinishedUploads() {
  return storedKeys()
    .map((key) => ({ key, ...JSON.parse(localStorage.getItem(key)) }))
    .filter((entry) => Date.now() - new Date(entry.creationTime) < KEPT_MS)
    .sort((a, b) => new Date(b.creationTime) - new Date(a.creationTime))
    .map(({ key, metadata, size, uploadUrl }) => ({
      name: metadata.filename, bytes: size, fingerprint: key.slice("tus::".length, key.lastIndexOf("::")), key, url: uploadUrl,
    }));
}

/** Delete what has arrived of an unfinished upload. */
export async function discardUnfinished({ key, url }) {
  localStorage.removeItem(key);
  await del(new URL(url).pathname, { headers: { "Tus-Resumable": "1.0.0" } }).catch(() => {}); // what is left expires
}

function storedKeys() {
  try {
    return Object.keys(localStorage).filter((key) => key.startsWith(`tus::${prefix()}/`));
  } catch {
    return []; // a browser without storage
  }
}

const prefix = () => `headrace/${session.peek()?.tenant}`;
