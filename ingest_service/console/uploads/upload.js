/** One resumable upload by tus. A complete upload is a job. */

import { ApiError, csrfHeaders, post, problemOf } from "../api.js";
import { signal } from "../modules/@preact/signals-core/signals-core.module.js";
import { session } from "../session.js";
import { strings } from "../strings.js";
import { fingerprint } from "./unfinished-uploads.js";

// Together two minutes. After that the upload waits for the user, or for the browser to be online again.
const RETRY_DELAYS_MS = [0, 1000, 2000, 3000, 4000, 5000, 5000, 10000, 10000, 20000, 30000, 30000];
const RETRIED = new Set([0, 408, 409, 423, 429, 500, 502, 503, 504]); // 0: no answer
const ENDPOINT = new URL("/v1/uploads", location.href).href;
const SPEED_WEIGHT = 0.2; // of the newest measurement
const MOST_IN_HEADER = 16 << 10; // bytes of options: base64 adds a third, and the service reads 32 KiB of headers

/** The states of an upload: it goes from the first to one of the last two, and may be paused or interrupted meanwhile. */
export const STATES = ["waiting", "uploading", "retrying", "paused", "interrupted", "failed", "done"];

/** An upload of a file with the options of its job. The fields that change are signals. */
export class Upload {
  state = signal("waiting");
  sentBytes = signal(0);
  bytesPerSecond = signal(null);
  error = signal(null); // an ApiError: why it was refused or interrupted
  jobId = signal(null);
  #tus = null;
  #measured = null; // {at, bytes}

  constructor(file, options) {
    this.file = file;
    this.options = options;
    this.fingerprint = fingerprint(file, options);
  }

  /** Begin, or continue after a pause, an interruption or a reload of the page. */
  async start() {
    this.state.value = "uploading";
    this.error.value = null;
    this.#measured = null;
    try {
      this.#tus ??= await this.#create();
    } catch (error) {
      this.#end(error);
      return;
    }
    if (this.state.peek() === "uploading") this.#tus.start();
  }

  /** Stop sending. The bytes that have arrived count. */
  pause() {
    this.state.value = "paused";
    this.#tus?.abort();
  }

  /** Stop, and delete what has arrived. */
  async cancel() {
    this.state.value = "paused";
    await this.#tus?.abort(true).catch(() => {}); // what the service keeps expires
  }

  /** Whether it has ended, well or badly. */
  get isOver() {
    return this.state.value === "done" || this.state.value === "failed";
  }

  async #create() {
    await import("../modules/tus-js-client/tus.min.js"); // defines window.tus
    const { Upload: Tus } = window.tus;
    const tus = new Tus(this.file, {
      endpoint: ENDPOINT,
      chunkSize: session.peek()?.limits?.tus_chunk_bytes ?? Infinity,
      retryDelays: RETRY_DELAYS_MS,
      metadata: { filename: this.file.name, ...textOf(this.options) },
      fingerprint: async () => this.fingerprint,
      removeFingerprintOnSuccess: true,
      onBeforeRequest: (request) => {
        for (const [name, value] of Object.entries(csrfHeaders())) request.setHeader(name, value);
      },
      onShouldRetry: (error) => this.#shouldRetry(error),
      onProgress: (sent) => this.#progress(sent),
      onSuccess: ({ lastResponse }) => this.#finish(lastResponse),
      onError: (error) => this.#fail(error),
    });
    const [previous] = await tus.findPreviousUploads();
    if (previous) tus.resumeFromPreviousUpload(previous);
    else if (areLong(this.options)) tus.options.uploadUrl = await this.#createWithBody();
    return tus;
  }

  /** Create the upload with its options as the body. Return its URL. */
  async #createWithBody() {
    const { keyterms = "", ...others } = this.options;
    const terms = keyterms.split("\n").map((term) => term.trim()).filter(Boolean);
    const answer = await post(ENDPOINT, {
      body: terms.length ? { ...others, keyterms: terms } : others,
      headers: {
        "Tus-Resumable": "1.0.0",
        "Upload-Length": String(this.file.size),
        "Upload-Metadata": `filename ${base64(this.file.name)}`,
      },
      as: "response",
    });
    return new URL(answer.headers.get("Location"), ENDPOINT).href;
  }

  #shouldRetry(error) {
    const isRetried = navigator.onLine && RETRIED.has(statusOf(error));
    if (isRetried && this.state.peek() === "uploading") this.state.value = "retrying";
    return isRetried;
  }

  #progress(sent) {
    if (this.state.peek() === "retrying") this.state.value = "uploading";
    this.sentBytes.value = sent;
    const now = performance.now();
    if (this.#measured && now - this.#measured.at < 500) return;
    if (this.#measured) this.bytesPerSecond.value = this.#smoothed(((sent - this.#measured.bytes) * 1000) / (now - this.#measured.at));
    this.#measured = { at: now, bytes: sent };
  }

  #smoothed(rate) {
    const last = this.bytesPerSecond.peek();
    return last === null ? rate : last + SPEED_WEIGHT * (rate - last);
  }

  #finish(response) {
    this.sentBytes.value = this.file.size;
    this.jobId.value = response.getHeader("Headrace-Job-Id");
    this.state.value = "done";
  }

  #fail(error) {
    const status = statusOf(error);
    this.#end(status ? problemOf(status, error.originalResponse.getBody()) : interruption());
  }

  #end(error) {
    this.error.value = error;
    this.state.value = RETRIED.has(error.status) || error.status === 401 ? "interrupted" : "failed";
    if (error.status === 401) session.value = null;
  }
}

const statusOf = (error) => error.originalResponse?.getStatus() ?? 0;

const bytesOf = (text) => new TextEncoder().encode(text);

const areLong = (options) => bytesOf(JSON.stringify(options)).length > MOST_IN_HEADER;

const base64 = (text) => btoa(String.fromCharCode(...bytesOf(text)));

const textOf = (options) => Object.fromEntries(Object.entries(options).map(([name, value]) => [name, String(value)]));

const interruption = () =>
  new ApiError({ status: 0, code: "offline", title: strings.home.interrupted, detail: strings.home.interruptedDetail });
