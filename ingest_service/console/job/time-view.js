/** The part of the recording that the waveform shows: `{from, to}` in seconds. Pure functions; a view never changes. */

const LEAST_S = 2; // the closest zoom

/** Return the view of all. */
export function wholeView(duration) {
  return { from: 0, to: Math.max(duration, 0.001) };
}

/** Return a view of `1/factor` of the length in which `time` keeps its place. */
export function zoom(view, factor, time, duration) {
  const length = view.to - view.from;
  const wanted = Math.min(duration, Math.max(Math.min(LEAST_S, duration), length / factor));
  const share = length ? (time - view.from) / length : 0;
  return moved(time - share * wanted, wanted, duration);
}

/** Return the view that begins `seconds` later. */
export function pan(view, seconds, duration) {
  return moved(view.from + seconds, view.to - view.from, duration);
}

/** Return a view of the same length that contains a time: the same one, or the one that begins just before it. */
export function follow(view, time, duration) {
  if (time >= view.from && time <= view.to) return view;
  const length = view.to - view.from;
  return moved(time - length * 0.1, length, duration);
}

function moved(from, length, duration) {
  const start = Math.max(0, Math.min(from, duration - length));
  return { from: start, to: start + length };
}

/** Return the time at a share (0 to 1) of the view's width. */
export function timeAt(view, share) {
  return view.from + (view.to - view.from) * Math.min(1, Math.max(0, share));
}

/** Return the share of the view's width at a time; below 0 or above 1 if the view does not show it. */
export function shareOf(view, time) {
  return (time - view.from) / (view.to - view.from);
}

/**
 * Return the marks of warnings: `[{share, warnings}]`. Warnings without a time have none; those that would be less
 * than `gap` (a share of the width) apart have one mark together.
 */
export function marksOf(warnings, view, gap) {
  const timed = warnings.filter((one) => one.start !== null && one.start !== undefined);
  const shown = timed.filter((one) => one.start <= view.to && (one.end ?? one.start) >= view.from);
  const marks = [];
  for (const warning of [...shown].sort((a, b) => a.start - b.start)) {
    const share = Math.max(0, shareOf(view, warning.start));
    const last = marks.at(-1);
    if (last && share - last.share < gap) last.warnings.push(warning);
    else marks.push({ share, warnings: [warning] });
  }
  return marks;
}

const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];

/** Return the times of a scale with at most `most` labels. */
export function ticksOf(view, most) {
  const length = view.to - view.from;
  const step = STEPS_S.find((one) => length / one <= most) ?? STEPS_S.at(-1);
  const ticks = [];
  for (let time = Math.ceil(view.from / step) * step; time <= view.to; time += step) ticks.push(time);
  return ticks;
}
