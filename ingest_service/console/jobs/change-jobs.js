/** Change many jobs: requests of bounded time, one after the other, until all jobs of a filter were reached. */

import { post } from "../api.js";

const MAX_REFUSED = 1000; // that are kept to be shown

/**
 * Cancel, erase or redrive the jobs of a filter. `onProgress` gets the result so far: `{matched, changed, refused}`; a
 * `signal` stops between two requests. Throws ApiError; what was changed stays changed.
 */
export async function changeJobs({ action, filter, onProgress = () => {}, signal }) {
  const result = { matched: 0, changed: 0, refused: [] };
  let cursor = null;
  do {
    const step = await post("/v1/jobs/bulk", { body: { action, filter, ...(cursor && { cursor }) } });
    result.matched += step.matched;
    result.changed += step.changed;
    result.refused = [...result.refused, ...step.refused].slice(0, MAX_REFUSED);
    cursor = step.next_cursor;
    onProgress(result);
  } while (cursor && !signal?.aborted);
  return result;
}

/** Return how often each code refused a job: `[[code, number]]`. */
export function refusalsByCode(refused) {
  const numbers = new Map();
  for (const { code } of refused) numbers.set(code, (numbers.get(code) ?? 0) + 1);
  return [...numbers];
}
