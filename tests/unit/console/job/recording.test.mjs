import assert from "node:assert/strict";
import { test } from "node:test";

import { actionsOf, chunksOf, levelOf, mayHaveTranscript, sharesOf, variantsOf } from "../../../../ingest_service/console/job/job-state.js";
import { columnsOf, gainOf } from "../../../../ingest_service/console/job/peaks.js";
import { silencesOf } from "../../../../ingest_service/console/job/silence.js";
import { colourOf, lanesOf, speakersAt, speakersOf } from "../../../../ingest_service/console/job/speakers.js";
import { follow, marksOf, pan, shareOf, ticksOf, timeAt, wholeView, zoom } from "../../../../ingest_service/console/job/time-view.js";

const peaks = (...data) => ({ sample_rate: 16000, samples_per_pixel: 800, bits: 8, length: data.length / 2, data });
const rounded = (columns) => [...columns].map((one) => Math.round(one * 100) / 100);

test("each column has the extremes of its pairs", () => {
  const four = peaks(-128, 127, -1, 1, 0, 0, -64, 64);
  assert.deepEqual(rounded(columnsOf(four, 0, 0.2, 2)), [-1, 0.99, -0.5, 0.5]);
  assert.deepEqual(rounded(columnsOf(four, 0.15, 0.2, 2)), [-0.5, 0.5, -0.5, 0.5]); // enlarged: pairs are repeated
  assert.deepEqual(rounded(columnsOf(four, 0.2, 0.4, 1)), [0, 0]); // behind the end
});

test("quiet recordings are enlarged, loud ones and silence are not distorted", () => {
  assert.equal(gainOf(peaks(...new Array(400).fill(0).flatMap(() => [-32, 32]))), 4);
  assert.equal(gainOf(peaks(...new Array(400).fill(0).flatMap(() => [-128, 127]))), 1);
  assert.equal(gainOf(peaks(0, 0)), 8);
});

test("pauses are where nothing is said, also not by a speech that was not transcribed", () => {
  const segments = [{ start: 3, end: 4, words: [] }, { start: 4.5, end: 20, words: [{ start: 4.5, end: 5 }, { start: 9, end: 20 }] }];
  assert.deepEqual(silencesOf({ segments, duration: 21 }), [[0, 3], [5, 9]]);
  const warnings = [{ code: "speech_not_transcribed", start: 5.5, end: 8.5 }, { code: "quiet", start: 0, end: 3 }];
  assert.deepEqual(silencesOf({ segments, warnings, duration: 30 }), [[0, 3], [20, 30]]);
  assert.deepEqual(silencesOf({ segments: [], duration: 30 }), [[0, 30]]);
});

test("a lane for each speaker, from turns or from segments", () => {
  const segments = [{ speaker: "A", start: 0, end: 1 }, { speaker: "B", start: 1, end: 2 }, { speaker: "A", start: 1.2, end: 3 }, { speaker: null, start: 5, end: 6 }];
  assert.deepEqual(lanesOf({ segments }), [{ speaker: "A", spans: [[0, 3]] }, { speaker: "B", spans: [[1, 2]] }]);
  const turns = [{ speaker: "B", start: 4, end: 5 }, { speaker: "B", start: 0, end: 1 }];
  const lanes = lanesOf({ segments, speakers: ["A", "B"], turns });
  assert.deepEqual(lanes, [{ speaker: "A", spans: [] }, { speaker: "B", spans: [[0, 1], [4, 5]] }]);
  assert.deepEqual([0.5, 2, 4, 5].map((time) => speakersAt(lanes, time)), [["B"], [], ["B"], []]);
  assert.deepEqual(speakersOf({ segments, speakers: ["B"] }), ["B", "A"]);
  assert.deepEqual([colourOf(["A", "B"], "B"), colourOf(new Array(9).fill("").map(String).concat("J"), "J")], [1, 1]);
  assert.deepEqual([...sharesOf([{ speaker: "A", spans: [[0, 3]] }, { speaker: "B", spans: [[3, 4]] }])], [["A", 0.75], ["B", 0.25]]);
});

test("a view keeps its place and stays within the recording", () => {
  const half = zoom(wholeView(100), 2, 50, 100);
  assert.deepEqual(half, { from: 25, to: 75 });
  assert.deepEqual(zoom(half, 2, 25, 100), { from: 25, to: 50 });
  assert.deepEqual(zoom(half, 0.01, 50, 100), { from: 0, to: 100 });
  assert.deepEqual(zoom(half, 1e9, 50, 100), { from: 49, to: 51 });
  assert.deepEqual([pan(half, -99, 100), pan(half, 99, 100)], [{ from: 0, to: 50 }, { from: 50, to: 100 }]);
  assert.equal(follow(half, 30, 100), half);
  assert.deepEqual(follow(half, 80, 100), { from: 50, to: 100 });
  assert.deepEqual([timeAt(half, 0.5), timeAt(half, 2), shareOf(half, 25)], [50, 75, 0]);
});

test("marks that would overlap are one, and what has no time has none", () => {
  const warnings = [{ start: 10 }, { start: 0 }, { start: null }, { start: 1, end: 2 }, { start: 200 }];
  const marks = marksOf(warnings, wholeView(100), 0.05);
  assert.deepEqual(marks.map(({ share, warnings: some }) => [share, some.length]), [[0, 2], [0.1, 1]]);
});

test("the scale has round times", () => {
  assert.deepEqual(ticksOf({ from: 50, to: 170 }, 5), [60, 90, 120, 150]);
  assert.equal(ticksOf(wholeView(36000), 8).length, 6);
});

test("what a job shows and offers", () => {
  const job = { status: "COMPLETED", audio: { bytes: 4 }, options: {} };
  assert.deepEqual(variantsOf(job, true), ["original", "denoised"]);
  assert.deepEqual(variantsOf({ ...job, options: { denoise: false } }, true), ["original"]);
  assert.deepEqual(variantsOf({ ...job, status: "QUEUED", audio: { bytes: null } }, false), []);
  assert.deepEqual([mayHaveTranscript(job), mayHaveTranscript({ ...job, status: "FAILED" })], [true, false]);
  const diarizes = (status) => mayHaveTranscript({ ...job, status, options: { diarize: true } });
  assert.deepEqual([diarizes("QUEUED"), diarizes("FAILED")], [false, true]);
  const all = () => true;
  const reads = (scope) => scope === "read";
  const failed = { ...job, status: "FAILED" };
  assert.deepEqual(actionsOf(failed, false, all, false), { cancel: false, erase: true, diarize: false, redrive: true });
  assert.deepEqual(actionsOf(failed, true, reads, false), { cancel: false, erase: false, diarize: false, redrive: false });
  assert.deepEqual(actionsOf({ ...job, status: "PROCESSING" }, true, all, false), { cancel: true, erase: true, diarize: false, redrive: false });
  assert.deepEqual([levelOf(3600, false), levelOf(3601, false), levelOf(3601, true)], ["detail", "overview", "detail"]);
  const tasks = [{ kind: "finish", start_s: null }, { kind: "chunk", start_s: 5 }, { kind: "chunk", start_s: 0 }];
  assert.deepEqual([chunksOf({ tasks }).map((one) => one.start_s), chunksOf(null)], [[0, 5], []]);
});
