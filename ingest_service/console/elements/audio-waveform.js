/** `<audio-waveform>`: the recording at a glance, with chunks, pauses, speakers and warnings; it is also the seek bar. */

import { ConsoleElement, define, html, nothing, signal } from "../element.js";
import { formatClock } from "../format.js";
import { gainOf } from "../job/peaks.js";
import { COLOURS, speakersAt } from "../job/speakers.js";
import { follow, marksOf, pan, shareOf, timeAt, wholeView, zoom } from "../job/time-view.js";
import { drawScene, heightOf, SCALE_PX, WAVE_PX } from "../job/wave-picture.js";
import { strings } from "../strings.js";

const STEP_S = 5;
const PAGE_S = 30;
const MARK_PX = 26; // the size of a mark with its distance: marks that are closer become one
const ZOOM = 2;

/**
 * Properties: `peaks` (audiowaveform, or null), `note` (why there are none), `duration`, `lanes`, `silences`, `chunks`, `warnings`, `nameOf(label)`.
 * Events: `wave-seek` with `{time}`, and `wave-zoomed`, when finer peaks are of use. Method: `showTime(time)`, each frame.
 */
export class AudioWaveform extends ConsoleElement {
  static properties = {
    peaks: null, note: "", duration: 0, lanes: [], silences: [], chunks: [], warnings: [], nameOf: (label) => label,
  };

  #view = signal(null); // null: all of it
  #width = signal(0);
  #time = 0;
  #second = signal(0);
  #colours = null;
  #pictures = null; // {rest, played}: two canvases with the same picture in different colours
  #painted = {}; // what they show
  #isDragging = false;

  connected() {
    const sizes = new ResizeObserver(([entry]) => { this.#width.value = Math.floor(entry.contentRect.width); });
    sizes.observe(this);
    const repaint = () => { this.#colours = null; this.#paint(); };
    const theme = new MutationObserver(repaint);
    theme.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint, { signal: this.signal });
    this.signal.addEventListener("abort", () => { sizes.disconnect(); theme.disconnect(); });
    this.addEventListener("wheel", (event) => this.#wheel(event), { signal: this.signal, passive: false });
  }

  /** Show the position. This is called each frame, so it copies two finished pictures and renders nothing. */
  showTime(time) {
    this.#time = time;
    this.#second.value = Math.floor(time);
    const view = this.#view.peek();
    if (view && !this.#isDragging) {
      const followed = follow(view, time, this.duration);
      if (followed !== view) this.#view.value = followed; // paints after the rendering
    }
    this.#compose();
  }

  get #shown() {
    return this.#view.value ?? wholeView(this.duration);
  }

  rendered() {
    this.#placeMarks();
    this.#paint();
  }

  render() {
    const text = strings.job.wave;
    const marks = this.#marks();
    return html`
      <div class="wave-area">
        <canvas aria-hidden="true"></canvas>
        <div class="wave-slider" role="slider" tabindex="0" aria-label=${text.position} aria-valuemin="0"
          aria-valuemax=${Math.round(this.duration)} aria-valuenow=${this.#second.value} aria-valuetext=${this.#valueText()}
          @keydown=${(event) => this.#key(event)} @pointerdown=${(event) => this.#press(event)}
          @pointermove=${(event) => this.#drag(event)} @pointerup=${() => this.#release()}
          @pointercancel=${() => this.#release()}></div>
        ${marks.map((mark) => this.#mark(mark))}
      </div>
      <div class="wave-tools">
        <span class="wave-legend">
          <span class="key-silence">${text.silence}</span>
          ${this.chunks.length > 1 ? html`<span class="key-chunk">${text.chunks(this.chunks.length)}</span>` : nothing}
          ${marks.length ? html`<span class="key-warning">${text.warnings}</span>` : nothing}
          ${this.note && !this.peaks ? html`<span>${this.note}</span>` : nothing}
        </span>
        <span class="wave-zoom" role="group" aria-label=${text.zoom}>
          <button type="button" aria-label=${text.zoomOut} title=${text.zoomOut} ?disabled=${!this.#view.value}
            @click=${() => this.#zoomBy(1 / ZOOM)}>−</button>
          <button type="button" aria-label=${text.zoomIn} title=${text.zoomIn} @click=${() => this.#zoomBy(ZOOM)}>+</button>
          <button type="button" ?disabled=${!this.#view.value} @click=${() => { this.#view.value = null; }}>${text.all}</button>
        </span>
      </div>`;
  }

  #marks() {
    const width = this.#width.value;
    return width ? marksOf(this.warnings, this.#shown, MARK_PX / width) : [];
  }

  #mark({ warnings }) {
    const lines = warnings.map((one) => strings.job.warningLine(one, formatClock(one.start)));
    const text = strings.job.wave.mark(lines);
    return html`<button type="button" class="wave-mark" aria-label=${text} data-text=${text}
      @click=${() => this.#seek(warnings[0].start)}><span aria-hidden="true">${warnings.length > 1 ? warnings.length : "!"}</span></button>`;
  }

  #placeMarks() {
    const marks = this.#marks();
    this.querySelectorAll(".wave-mark").forEach((button, at) => {
      button.style.left = `${marks[at].share * 100}%`;
      button.classList.toggle("at-right", marks[at].share > 0.5);
    });
  }

  #valueText() {
    const speakers = speakersAt(this.lanes, this.#second.value).map((label) => this.nameOf(label));
    return strings.job.wave.value(formatClock(this.#second.value), formatClock(this.duration), speakers);
  }

  #key(event) {
    const { key } = event;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (key === "+" || key === "=") this.#zoomBy(ZOOM);
    else if (key === "-") this.#zoomBy(1 / ZOOM);
    else if (key in STEPS) this.#seek(this.#time + STEPS[key]);
    else if (key === "Home") this.#seek(0);
    else if (key === "End") this.#seek(this.duration);
    else return;
    event.preventDefault();
  }

  #press(event) {
    if (event.button !== 0) return;
    this.#isDragging = true;
    event.target.setPointerCapture(event.pointerId);
    this.#drag(event);
  }

  #drag(event) {
    if (!this.#isDragging) return;
    const box = event.currentTarget.getBoundingClientRect();
    this.#seek(timeAt(this.#shown, (event.clientX - box.left) / box.width));
  }

  #release() {
    this.#isDragging = false;
  }

  #seek(time) {
    this.emit("wave-seek", { time: Math.min(this.duration, Math.max(0, time)) });
  }

  /** Pinching, or the wheel with Ctrl, zooms where the pointer is; a wheel that goes sideways moves the view. */
  #wheel(event) {
    const box = this.querySelector(".wave-area").getBoundingClientRect();
    const sideways = event.shiftKey ? event.deltaY : event.deltaX;
    if (event.ctrlKey || event.metaKey) {
      this.#zoomBy(2 ** (-event.deltaY / 100), timeAt(this.#shown, (event.clientX - box.left) / box.width));
    } else if (this.#view.value && Math.abs(sideways) > Math.abs(event.shiftKey ? 0 : event.deltaY)) {
      const length = this.#view.value.to - this.#view.value.from;
      this.#view.value = pan(this.#view.value, (sideways / box.width) * length, this.duration);
    } else return;
    event.preventDefault();
  }

  #zoomBy(factor, time = this.#time) {
    const next = zoom(this.#shown, factor, time, this.duration);
    this.#view.value = next.to - next.from >= this.duration ? null : next;
    if (this.#view.value) this.emit("wave-zoomed");
  }

  #scene() {
    return {
      from: this.#view.peek()?.from ?? 0, to: this.#view.peek()?.to ?? wholeView(this.duration).to,
      width: this.#width.peek(), ratio: devicePixelRatio || 1, peaks: this.peaks, silences: this.silences,
      chunks: this.chunks, lanes: this.lanes, colours: (this.#colours ??= readColours(this)),
    };
  }

  /** Draw the two pictures again if something that they show has changed. */
  #paint() {
    const canvas = this.querySelector("canvas");
    const now = this.#scene();
    if (!canvas || !now.width || Object.keys(now).every((name) => now[name] === this.#painted[name])) return;
    const scene = { ...now, view: { from: now.from, to: now.to }, gain: now.peaks ? gainOf(now.peaks) : 1 };
    const played = { ...now.colours, wave: now.colours.accent };
    this.#painted = now;
    this.#pictures = { rest: picture(scene, now.colours), played: picture(scene, played) };
    fit(canvas, now.width, heightOf(scene), now.ratio);
    this.querySelector(".wave-slider").style.height = `${heightOf(scene)}px`;
    this.#compose();
  }

  #compose() {
    const canvas = this.querySelector("canvas");
    if (!canvas || !this.#pictures) return;
    const context = canvas.getContext("2d");
    const view = this.#view.peek() ?? wholeView(this.duration);
    const x = Math.round(Math.min(1, Math.max(0, shareOf(view, this.#time))) * canvas.width);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.drawImage(this.#pictures.rest, 0, 0);
    if (x > 0) context.clearRect(0, 0, x, canvas.height);
    if (x > 0) context.drawImage(this.#pictures.played, 0, 0, x, canvas.height, 0, 0, x, canvas.height);
    const ratio = canvas.width / this.#width.peek();
    context.fillStyle = this.#colours.accent;
    context.fillRect(Math.min(x, canvas.width - ratio * 2), SCALE_PX * ratio, Math.ceil(2 * ratio), WAVE_PX * ratio);
  }
}

const STEPS = {
  ArrowLeft: -STEP_S, ArrowDown: -STEP_S, ArrowRight: STEP_S, ArrowUp: STEP_S, PageDown: -PAGE_S, PageUp: PAGE_S,
};

function picture(scene, colours) {
  const canvas = new OffscreenCanvas(Math.round(scene.width * scene.ratio), Math.round(heightOf(scene) * scene.ratio));
  const context = canvas.getContext("2d");
  context.scale(scene.ratio, scene.ratio);
  drawScene(context, scene, colours);
  return canvas;
}

function fit(canvas, width, height, ratio) {
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
}

const CHUNK_TOKENS = {
  done: "--line-strong", running: "--accent", dead: "--bad", cancelled: "--line", waiting: "--warn", dispatched: "--line",
};

/** Return the colours of the tokens as a canvas takes them. */
function readColours(element) {
  const lanes = Array.from({ length: COLOURS }, (_, at) => `--speaker-${at + 1}`);
  const tokens = ["--line-strong", "--accent", "--text-quiet", "--line", "--surface-hover", "--bad", "--warn", ...lanes];
  const colours = resolved(element, tokens);
  return {
    wave: colours["--line-strong"], accent: colours["--accent"], text: colours["--text-quiet"], line: colours["--line"],
    silence: colours["--surface-hover"], font: `11px ${getComputedStyle(element).fontFamily}`, clock: formatClock,
    lanes: lanes.map((token) => colours[token]),
    chunks: Object.fromEntries(Object.entries(CHUNK_TOKENS).map(([state, token]) => [state, colours[token]])),
  };
}

/** A token may be `light-dark(…)`, so elements resolve them; all at once, since each change costs a layout. */
function resolved(element, tokens) {
  const group = element.appendChild(document.createElement("i"));
  group.hidden = true;
  for (const token of tokens) group.appendChild(document.createElement("i")).style.color = `var(${token})`;
  const colours = tokens.map((token, at) => [token, getComputedStyle(group.children[at]).color]);
  group.remove();
  return Object.fromEntries(colours);
}

define("audio-waveform", AudioWaveform);
