/** Decisions about a job: what its page shows and offers. Pure. */

const OVER = new Set(["COMPLETED", "FAILED", "CANCELLED"]);

/** Return whether a job has ended. It may start again: a redrive, other speakers. */
export const isOver = (job) => OVER.has(job.status);

/** Return whether the audio is stored: a URL is fetched first. */
export const hasAudio = (job) => job.audio.bytes !== null;

/** Return the recordings that a job has. The denoised one comes with the results. */
export function variantsOf(job, hasTranscript) {
  if (!hasAudio(job)) return [];
  const hasResults = job.status === "COMPLETED" || hasTranscript;
  return hasResults && job.options?.denoise !== false ? ["original", "denoised"] : ["original"];
}

/**
 * Return whether to ask for a transcript. A job that failed while it looked for speakers again still has the former
 * one. One that runs is not asked: most run for the first time.
 */
export const mayHaveTranscript = (job) => job.status === "COMPLETED" || (isOver(job) && job.options?.diarize === true);

/** Return a job with what an event of its stream says. */
export function withEvent(job, { status, stage, progress, chunks_done: chunksDone, chunk_count: chunkCount }) {
  return { ...job, status, stage, progress, chunksDone, chunkCount };
}

/**
 * Return the actions that a caller may take.
 * @param {(scope: string) => boolean} can @param {boolean} operates whether the caller has the operator's key
 */
export function actionsOf(job, hasTranscript, can, operates) {
  return {
    cancel: can("submit") && !isOver(job),
    erase: can("submit"),
    diarize: can("submit") && isOver(job) && hasTranscript,
    redrive: job.status === "FAILED" && (can("admin") || operates),
  };
}

/** Return whether a job has peaks: they are computed while its audio is decoded. */
export const hasPeaks = ({ status, stage }) => status === "COMPLETED" || (status === "PROCESSING" && stage !== "prepare");

/** Return the level of peaks that a waveform of `width` pixels needs for `seconds` of audio. */
export function levelOf(seconds, isZoomed) {
  return seconds > 3600 && !isZoomed ? "overview" : "detail";
}

/** Return the chunks of a job's work, in order of time. */
export function chunksOf(work) {
  const chunks = (work?.tasks ?? []).filter((task) => task.kind === "chunk" && task.start_s !== null);
  return chunks.sort((a, b) => a.start_s - b.start_s);
}

/** Return each speaker's share of all speech, by label. */
export function sharesOf(lanes) {
  const talked = lanes.map(({ spans }) => spans.reduce((sum, [start, end]) => sum + end - start, 0));
  const all = talked.reduce((sum, one) => sum + one, 0) || 1;
  return new Map(lanes.map(({ speaker }, at) => [speaker, talked[at] / all]));
}
