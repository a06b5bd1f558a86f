/** Draws a waveform with its scale, pauses, chunks and speakers' lanes on a canvas. It knows no element and no audio. */

import { columnsOf } from "./peaks.js";
import { shareOf, ticksOf } from "./time-view.js";

export const SCALE_PX = 18; // the height of the times above
export const WAVE_PX = 72;
export const CHUNKS_PX = 6;
export const LANE_PX = 7;
const GAP_PX = 3;
const TICK_PX = 90; // the least distance of two times
const MOST_LANES = 8; // the others share the last one

/** Return the height of a picture. */
export function heightOf({ lanes, chunks }) {
  const bar = chunks.length > 1 ? CHUNKS_PX + GAP_PX : 0;
  return SCALE_PX + WAVE_PX + bar + Math.min(lanes.length, MOST_LANES) * (LANE_PX + GAP_PX) + GAP_PX;
}

/**
 * Draw a picture on a context whose units are CSS pixels.
 * @param {CanvasRenderingContext2D} context
 * @param {{view: {from: number, to: number}, width: number, peaks: object | null, gain: number, duration: number,
 *   silences: number[][], chunks: {start_s: number, end_s: number, state: string}[],
 *   lanes: {spans: number[][]}[]}} scene
 * @param {{wave: string, text: string, line: string, silence: string, font: string, lanes: string[],
 *   chunks: Record<string, string>}} colours
 */
export function drawScene(context, scene, colours) {
  context.clearRect(0, 0, scene.width, heightOf(scene));
  drawSilences(context, scene, colours);
  drawScale(context, scene, colours);
  drawWave(context, scene, colours);
  let top = SCALE_PX + WAVE_PX + GAP_PX;
  if (scene.chunks.length > 1) {
    drawChunks(context, scene, colours, top);
    top += CHUNKS_PX + GAP_PX;
  }
  scene.lanes.forEach((lane, at) => {
    context.fillStyle = colours.lanes[at % colours.lanes.length];
    const row = Math.min(at, MOST_LANES - 1);
    fillSpans(context, scene, lane.spans, top + row * (LANE_PX + GAP_PX), LANE_PX);
  });
}

function drawScale(context, { view, width }, colours) {
  context.font = colours.font;
  context.textBaseline = "top";
  for (const time of ticksOf(view, Math.max(1, width / TICK_PX))) {
    const x = Math.round(shareOf(view, time) * width);
    context.fillStyle = colours.line;
    context.fillRect(x, 0, 1, SCALE_PX - 2);
    context.fillStyle = colours.text;
    if (x < width - TICK_PX / 2) context.fillText(colours.clock(time), x + 4, 1);
  }
}

function drawWave(context, { view, width, peaks, gain }, colours) {
  const middle = SCALE_PX + WAVE_PX / 2;
  context.fillStyle = colours.wave;
  if (!peaks) {
    context.fillRect(0, middle, width, 1);
    return;
  }
  const columns = columnsOf(peaks, view.from, view.to, Math.ceil(width));
  const half = WAVE_PX / 2 - 1;
  for (let x = 0; x < width; x++) {
    const low = Math.max(-1, columns[2 * x] * gain) * half;
    const high = Math.min(1, columns[2 * x + 1] * gain) * half;
    context.fillRect(x, middle - high, 1, Math.max(1, high - low));
  }
}

function drawSilences(context, scene, colours) {
  context.fillStyle = colours.silence;
  fillSpans(context, scene, scene.silences, SCALE_PX, WAVE_PX);
}

function drawChunks(context, scene, colours, top) {
  for (const { start_s: start, end_s: end, state } of scene.chunks) {
    context.fillStyle = colours.chunks[state] ?? colours.chunks.done;
    fillSpans(context, scene, [[start, end]], top, CHUNKS_PX, 1);
  }
}

/** Fill spans of time; each is at least one pixel wide, and `inset` pixels shorter at its end. */
function fillSpans(context, { view, width }, spans, top, height, inset = 0) {
  let drawnUntil = -1; // many short spans may share a pixel
  for (const [start, end] of spans) {
    if (end < view.from || start > view.to) continue;
    const left = Math.max(0, shareOf(view, start) * width, drawnUntil);
    const right = Math.min(width, Math.max(shareOf(view, end) * width - inset, left + 1));
    if (right <= left) continue;
    context.fillRect(left, top, right - left, height);
    drawnUntil = right;
  }
}
