/** Record from the microphone: level, time, stop. The recording is emitted as a file: `recorded`. */

import { ConsoleElement, define, html, signal } from "../element.js";
import { formatClock } from "../format.js";
import { strings } from "../strings.js";
import "./error-note.js";
import { icon } from "./icons.js";

const text = strings.home;
const TYPES = [["audio/webm;codecs=opus", "webm"], ["audio/mp4", "m4a"], ["audio/ogg;codecs=opus", "ogg"]];
const FADE = 0.85; // of the level, each frame

class AudioRecorder extends ConsoleElement {
  #seconds = signal(null); // null: not recording yet
  #error = signal(null);
  #recorder = null;
  #isWanted = false;

  connected() {
    this.#begin().catch((error) => { this.#error.value = reason(error); });
  }

  disconnected() {
    this.#stop(false);
  }

  render() {
    if (this.#error.value) return html`<error-note .error=${this.#error.value} .heading=${text.noMicrophone}></error-note>`;
    return html`
      <div class="recorder">
        <span class="record-dot" aria-hidden="true"></span>
        <span class="number" role="timer">${formatClock(this.#seconds.value ?? 0)}</span>
        <span class="level" aria-hidden="true"><span></span></span>
        <div class="actions">
          <button class="primary" ?disabled=${this.#seconds.value === null} @click=${() => this.#stop(true)}>${icon("stop")}${text.recordStop}</button>
          <button @click=${() => this.emit("discarded")}>${text.recordDiscard}</button>
        </div>
      </div>`;
  }

  async #begin() {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    if (!this.isConnected) return stream.getTracks().forEach((track) => track.stop());
    const [type, ending] = TYPES.find(([one]) => MediaRecorder.isTypeSupported(one)) ?? ["", "webm"];
    const pieces = [];
    this.#recorder = new MediaRecorder(stream, type ? { mimeType: type } : {});
    this.#recorder.addEventListener("dataavailable", (event) => pieces.push(event.data));
    this.#recorder.addEventListener("stop", () => this.#finish(stream, pieces, ending));
    this.#recorder.start(1000);
    this.#showLevel(stream);
  }

  #stop(isWanted) {
    this.#isWanted = isWanted;
    if (this.#recorder?.state === "recording") this.#recorder.stop();
  }

  #finish(stream, pieces, ending) {
    stream.getTracks().forEach((track) => track.stop());
    if (!this.#isWanted) return;
    const at = new Date(Date.now() - new Date().getTimezoneOffset() * 60000).toISOString().slice(0, 19).replace("T", " ").replaceAll(":", "-");
    this.emit("recorded", new File(pieces, `${text.recordingName} ${at}.${ending}`, { type: pieces[0]?.type.split(";")[0] ?? "" }));
  }

  /** Draw the level of each frame until the element is removed, and count the seconds. */
  #showLevel(stream) {
    const context = new AudioContext();
    const analyser = context.createAnalyser();
    context.createMediaStreamSource(stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    const began = performance.now();
    let level = 0;
    const draw = () => {
      if (!this.isConnected) return context.close();
      analyser.getFloatTimeDomainData(samples);
      level = Math.max(loudness(samples), level * FADE);
      this.#seconds.value = Math.floor((performance.now() - began) / 1000);
      const bar = this.querySelector(".level > span");
      if (bar) bar.style.inlineSize = `${level * 100}%`;
      requestAnimationFrame(draw);
    };
    draw();
  }
}

/** Return 0 to 1: -60 to 0 dB of full scale. */
function loudness(samples) {
  const peak = samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
  return Math.min(1, Math.max(0, 1 + Math.log10(peak || 1e-3) / 3));
}

function reason(error) {
  const known = { NotAllowedError: text.microphoneDenied, NotFoundError: text.microphoneMissing, TypeError: text.microphoneInsecure };
  return new Error(known[error.name] ?? error.message);
}

define("audio-recorder", AudioRecorder);
