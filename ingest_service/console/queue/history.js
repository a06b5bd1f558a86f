/** The history of the queue as charts and tables need it: minutes put together, rates, ratios. Null is a gap. Pure. */

const known = (values) => values.filter((value) => value !== null);

const sum = (values) => values.reduce((total, value) => total + value, 0);

const COMBINE = {
  sum,
  mean: (values) => sum(values) / values.length,
  max: (values) => Math.max(...values),
};

/** Put each `size` values together by "sum", "mean" or "max". Null only where all are null. */
export function binned(values, size, how) {
  const bins = [];
  for (let at = 0; at < values.length; at += size) {
    const found = known(values.slice(at, at + size));
    bins.push(found.length ? COMBINE[how](found) : null);
  }
  return bins;
}

/** Divide one list by the other; null where there is nothing to divide by. */
export const ratio = (parts, wholes) =>
  parts.map((part, at) => (part === null || !wholes[at] ? null : part / wholes[at]));

/** Multiply the values that are known. */
export const scaled = (values, factor) => values.map((value) => (value === null ? null : value * factor));

/** Add lists; null where all are null. */
export const added = (...lists) =>
  lists[0].map((_, at) => {
    const found = known(lists.map((list) => list[at]));
    return found.length ? sum(found) : null;
  });

/** Return the highest known value and its index; null without any. */
export function highest(values) {
  const found = known(values);
  if (!found.length) return null;
  const value = Math.max(...found);
  return { value, at: values.indexOf(value) };
}

/** Return the last known value; null without any. */
export const latest = (values) => known(values).at(-1) ?? null;

/** Return the indices of known values between two gaps. */
export const isolated = (values) =>
  [...values.keys()].filter((at) => isKnown(values[at]) && !isKnown(values[at - 1]) && !isKnown(values[at + 1]));

const isKnown = (value) => value !== null && value !== undefined;
