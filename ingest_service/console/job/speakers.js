/** Who speaks when: the lanes under the waveform, and the colours of the labels. */

export const COLOURS = 8; // the tokens --speaker-1 … --speaker-8; further speakers share them

/** Return the labels of a transcript's speakers, in the order of its list, or of their first words. */
export function speakersOf(transcript) {
  const speakers = new Set(transcript.speakers);
  for (const { speaker, words } of transcript.segments) {
    if (speaker) speakers.add(speaker);
    for (const word of words ?? []) if (word.speaker) speakers.add(word.speaker);
  }
  return [...speakers];
}

/** Return the number of a speaker's colour. */
export function colourOf(speakers, speaker) {
  return Math.max(0, speakers.indexOf(speaker)) % COLOURS;
}

/**
 * Return one lane for each speaker: `[{speaker, spans: [[start, end]]}]`. Turns come from the diarization; without
 * them, the segments say who speaks. Spans that are less than `joinS` apart are one.
 */
export function lanesOf(transcript, joinS = 0.5) {
  const turns = transcript.turns?.length ? transcript.turns : transcript.segments.filter((one) => one.speaker);
  const spans = new Map(speakersOf(transcript).map((speaker) => [speaker, []]));
  for (const { speaker, start, end } of [...turns].sort((a, b) => a.start - b.start)) {
    if (!spans.has(speaker)) spans.set(speaker, []);
    extend(spans.get(speaker), start, end, joinS);
  }
  return [...spans].map(([speaker, some]) => ({ speaker, spans: some }));
}

function extend(spans, start, end, joinS) {
  const last = spans.at(-1);
  if (last && start <= last[1] + joinS) last[1] = Math.max(last[1], end);
  else spans.push([start, end]);
}

/** Return the speakers at a time. */
export function speakersAt(lanes, time) {
  return lanes.filter(({ spans }) => isInside(spans, time)).map(({ speaker }) => speaker);
}

function isInside(spans, time) {
  let low = 0;
  let high = spans.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (spans[middle][0] <= time) low = middle + 1;
    else high = middle;
  }
  return low > 0 && spans[low - 1][1] > time;
}
