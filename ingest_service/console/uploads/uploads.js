/** All uploads of this window: a few at once, in the order in which they were added. They go on while other pages are shown. */

import { announce } from "../announce.js";
import { computed, effect, signal, untracked } from "../element.js";
import { formatBytes } from "../format.js";
import { session } from "../session.js";
import { strings } from "../strings.js";
import { Upload } from "./upload.js";

const AT_ONCE = 3;

/** The uploads of this window, oldest first. */
export const uploads = signal([]);

/** How many uploads have not ended. */
export const openUploads = computed(() => uploads.value.filter((upload) => !upload.isOver).length);

/** The largest file that the service takes, in bytes; null: not known. */
export const maxUploadBytes = computed(() => session.value?.limits?.max_upload_bytes ?? null);

/** Add files with the options of their jobs. Files that the service would refuse are left out, with the reason. */
export function addFiles(files, options) {
  const refused = [...files].map((file) => [file, whyRefused(file)]).filter(([, reason]) => reason);
  const taken = [...files].filter((file) => !whyRefused(file));
  uploads.value = [...uploads.value, ...taken.map((file) => new Upload(file, options))];
  if (refused.length) announce(strings.home.refused(refused[0][0].name, refused[0][1], refused.length));
}

/** Remove an upload from the list; one that has not ended is cancelled. */
export function removeUpload(upload) {
  if (!upload.isOver) upload.cancel();
  uploads.value = uploads.value.filter((one) => one !== upload);
}

/** Remove those that have become jobs. */
export function removeDone() {
  uploads.value = uploads.value.filter((one) => one.state.peek() !== "done");
}

function whyRefused(file) {
  if (file.size === 0) return strings.home.emptyFile;
  if (maxUploadBytes.peek() && file.size > maxUploadBytes.peek()) return strings.home.tooLarge(formatBytes(maxUploadBytes.peek()));
  return "";
}

const isRunning = (upload) => ["uploading", "retrying"].includes(upload.state.value);

// Start the next ones as soon as others end or pause.
effect(() => {
  const free = AT_ONCE - uploads.value.filter(isRunning).length;
  const waiting = uploads.value.filter((upload) => upload.state.value === "waiting");
  untracked(() => waiting.slice(0, Math.max(0, free)).forEach((upload) => upload.start()));
});

addEventListener("online", () => {
  for (const upload of uploads.peek()) if (upload.state.peek() === "interrupted") upload.start();
});
addEventListener("beforeunload", (event) => {
  if (uploads.peek().some(isRunning)) event.preventDefault(); // the browser asks whether to leave
});
