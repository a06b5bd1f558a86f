/** `<audio-player>`: plays the original or the denoised recording of a job. It is the clock of the job page. */

import { ConsoleElement, define, html, nothing, signal } from "../element.js";
import { formatClock } from "../format.js";
import { strings } from "../strings.js";
import { icon } from "./icons.js";

const SPEEDS = [0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 3];
const STEP_S = 5;
const VARIANTS = ["original", "denoised"];

/**
 * Events: `player-time` with `{time, playing}`, each frame while it plays and after each jump.
 * Methods: `seek(time)`, `toggle()`, `step(seconds)`.
 */
export class AudioPlayer extends ConsoleElement {
  static properties = { jobId: "", duration: 0, variants: ["original"], start: 0 };

  #variant = signal("original");
  #isPlaying = signal(false);
  #isWaiting = signal(false);
  #speed = signal(1);
  #second = signal(0); // the clock is rendered once a second, not once a frame
  #problem = signal(null); // "erased", "missing", "unplayable", "offline"
  #resume = null; // {time, playing}: where to go on when the audio is there
  #frame = 0;
  #loadedVariant = "original";

  connected() {
    this.watch(() => { if (this.jobId) this.#load(this.#variant.value); });
  }

  disconnected() {
    cancelAnimationFrame(this.#frame);
    this.#audio?.removeAttribute("src");
    this.#audio?.load(); // ends the download
  }

  rendered() {
    if (!this.#audio.src && this.jobId) this.#load(this.#variant.peek());
  }

  get #audio() {
    return this.querySelector("audio");
  }

  /** The position in seconds. */
  get time() {
    return this.#resume?.time ?? (this.#audio ? this.#audio.currentTime + this.#offset : 0);
  }

  /** Go to a time, in seconds. */
  seek(time) {
    const target = Math.max(0, Math.min(time, this.#length || time));
    if (this.#resume || !this.#audio.readyState) this.#resume = { ...this.#state(), time: target };
    else this.#audio.currentTime = Math.max(0, target - this.#offset);
    this.#report();
  }

  /** Go forwards or, with a negative number, back. */
  step(seconds) {
    this.seek(this.time + seconds);
  }

  /** Play or pause. */
  toggle() {
    if (this.#resume) this.#resume.playing = !this.#resume.playing;
    if (this.#audio.paused) this.#play();
    else this.#audio.pause();
  }

  get #length() {
    const own = this.#audio?.duration;
    return this.duration || (Number.isFinite(own) ? own + this.#offset : 0);
  }

  /** The denoised recording has only the part that was transcribed: it begins at `start` of the original. */
  get #offset() {
    return this.#loadedVariant === "denoised" ? this.start : 0;
  }

  #state() {
    return this.#resume ?? { time: this.time, playing: !this.#audio.paused };
  }

  #load(variant) {
    const audio = this.#audio;
    if (!audio) return;
    this.#resume = this.#state();
    this.#problem.value = null;
    this.#loadedVariant = variant;
    audio.src = `/v1/jobs/${encodeURIComponent(this.jobId)}/audio?variant=${variant}`;
    audio.load();
  }

  #loaded() {
    const { time, playing } = this.#resume ?? { time: 0, playing: false };
    this.#resume = null;
    this.#audio.playbackRate = this.#speed.value;
    if (time > this.#offset) this.#audio.currentTime = time - this.#offset;
    if (playing) this.#play();
  }

  #play() {
    this.#audio.play().catch((error) => {
      if (error.name !== "AbortError") this.#isPlaying.value = false; // the `error` event says why
    });
  }

  async #failed() {
    if (!this.#audio.getAttribute("src")) return;
    this.#isPlaying.value = false;
    const src = this.#audio.src;
    const status = await fetch(src, { method: "HEAD" }).then((answer) => answer.status, () => 0);
    if (src === this.#audio?.src) this.#problem.value = PROBLEMS[status] ?? (status < 400 ? "unplayable" : "missing");
  }

  #started() {
    this.#isPlaying.value = true;
    const tick = () => {
      this.#report();
      this.#frame = this.#audio.paused ? 0 : requestAnimationFrame(tick);
    };
    cancelAnimationFrame(this.#frame);
    tick();
  }

  #report() {
    this.#second.value = Math.floor(this.time);
    this.emit("player-time", { time: this.time, playing: this.#isPlaying.peek() });
  }

  #setSpeed(speed) {
    this.#speed.value = speed;
    this.#audio.playbackRate = speed;
  }

  render() {
    const text = strings.job.player;
    return html`
      <audio preload="metadata" @loadedmetadata=${() => this.#loaded()} @error=${() => this.#failed()}
        @play=${() => this.#started()} @pause=${() => { this.#isPlaying.value = false; this.#report(); }}
        @waiting=${() => { this.#isWaiting.value = true; }} @playing=${() => { this.#isWaiting.value = false; }}
        @seeked=${() => this.#report()} @timeupdate=${() => this.#report()}></audio>
      <div class="player-controls" role="group" aria-label=${text.label}>
        <button type="button" class="player-button" title=${text.back(STEP_S)} aria-label=${text.back(STEP_S)}
          @click=${() => this.step(-STEP_S)}><span aria-hidden="true">−${STEP_S}</span></button>
        <button type="button" class="player-button player-play" title=${text.shortcut}
          aria-label=${this.#isPlaying.value ? text.pause : text.play} @click=${() => this.toggle()}>
          ${icon(this.#isPlaying.value ? "pause" : "play")}</button>
        <button type="button" class="player-button" title=${text.forward(STEP_S)} aria-label=${text.forward(STEP_S)}
          @click=${() => this.step(STEP_S)}><span aria-hidden="true">+${STEP_S}</span></button>
        <span class="player-clock">${formatClock(this.#second.value)}<span class="quiet"> / ${formatClock(this.#length)}</span></span>
        <label class="player-speed"><span class="visually-hidden">${text.speed}</span>
          <select @change=${(event) => this.#setSpeed(Number(event.target.value))}>
            ${SPEEDS.map((speed) => html`<option value=${speed} ?selected=${speed === this.#speed.value}>${speed}×</option>`)}
          </select></label>
        ${this.variants.length > 1 ? this.#switch() : nothing}
        ${this.#isWaiting.value ? html`<span class="quiet">${text.buffering}</span>` : nothing}
      </div>
      ${this.#problem.value ? html`<p class="player-problem" role="status">${text.problems[this.#problem.value]}</p>` : nothing}`;
  }

  #switch() {
    const text = strings.job.player;
    const button = (variant) => html`
      <button type="button" aria-pressed=${String(this.#variant.value === variant)}
        @click=${() => { this.#variant.value = variant; }}>${text.variants[variant]}</button>`;
    return html`<div class="player-variants" role="group" aria-label=${text.variant}>
      ${VARIANTS.filter((one) => this.variants.includes(one)).map(button)}</div>`;
  }
}

const PROBLEMS = { 0: "offline", 410: "erased", 404: "missing", 409: "missing" };

define("audio-player", AudioPlayer);
