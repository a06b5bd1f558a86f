/** The pauses of a recording, as far as its transcript shows them. */

export const SHORTEST_S = 2; // shorter pauses belong to speech

/**
 * Return the spans `[start, end]` without speech. Speech that was not transcribed is no pause.
 * @param {{segments: object[], turns?: object[], warnings?: object[], duration: number}} transcript
 */
export function silencesOf(transcript, shortestS = SHORTEST_S) {
  const pauses = [];
  let heardUntil = 0;
  for (const [start, end] of soundsOf(transcript)) {
    if (start - heardUntil >= shortestS) pauses.push([heardUntil, start]);
    heardUntil = Math.max(heardUntil, end);
  }
  if (transcript.duration - heardUntil >= shortestS) pauses.push([heardUntil, transcript.duration]);
  return pauses;
}

function soundsOf({ segments, turns = [], warnings = [] }) {
  const spoken = segments.flatMap((one) => (one.words?.length ? one.words : [one]));
  const lost = warnings.filter((one) => one.code === "speech_not_transcribed" && one.start !== null);
  const spans = [...spoken, ...turns, ...lost].map(({ start, end }) => [start, end ?? start]);
  return spans.sort((a, b) => a[0] - b[0]);
}
