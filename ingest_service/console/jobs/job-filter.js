/** The filter of the list of jobs, as the address holds it: a link shows the same list to others. Pure. */

export const STATUSES = ["QUEUED", "PROCESSING", "COMPLETED", "FAILED", "CANCELLED"];

/** The warnings that a list can be filtered by; newer versions may have more. */
export const WARNINGS = [
  "low_confidence", "speech_not_transcribed", "no_speech", "repetition", "clipped", "quiet", "cut_off", "audio_missing",
  "decode_errors", "other_tracks", "trailing_data", "time_stamps_ignored", "language_ignored", "language_unsure", "text_not_spoken", "speech_not_in_text", "prompt_shortened",
  "diarization_unavailable", "word_times_missing",
];

/** The names of the parameters, which are those of the API. */
export const FIELDS = [
  "status", "filename", "created_after", "created_before", "metadata_key", "metadata_value", "min_speakers", "max_speakers",
  "warning", "code",
];

const NUMBERS = new Set(["min_speakers", "max_speakers"]);

/** The statuses that an action is for. */
const STATUSES_OF = { cancel: ["QUEUED", "PROCESSING"], redrive: ["FAILED"], erase: STATUSES };

/** Return the filter in a query: `{name: text}` without what is empty. */
export function readFilter(query) {
  const pairs = FIELDS.map((name) => [name, (query.get(name) ?? "").trim()]).filter(([, value]) => value);
  const filter = Object.fromEntries(pairs);
  if (!filter.metadata_key) delete filter.metadata_value;
  return filter;
}

/** Return the address of a list. */
export function addressOf(filter, cursor = null) {
  const query = new URLSearchParams(Object.entries({ ...filter, cursor }).filter(([, value]) => value));
  return query.size ? `/jobs?${query}` : "/jobs";
}

/** Return a filter with another value of a field; an empty one removes it. */
export function withField(filter, name, value) {
  const { [name]: _, ...others } = filter;
  if (name === "metadata_key" && !value) delete others.metadata_value;
  return value ? { ...others, [name]: value } : others;
}

/** Return a filter without its status: what the tabs count. */
export const withoutStatus = (filter) => withField(filter, "status", "");

/** Return the statuses of the jobs that an action changes, of those that a filter matches. */
export const statusesFor = (action, filter) => STATUSES_OF[action].filter((status) => !filter.status || filter.status === status);

/** Return the filter of `POST /v1/jobs/bulk` for an action on all jobs that a filter matches. */
export function bulkFilter(action, filter) {
  const typed = Object.entries(withoutStatus(filter)).map(([name, value]) => [name, NUMBERS.has(name) ? Number(value) : value]);
  return { ...Object.fromEntries(typed), status: statusesFor(action, filter) };
}

/** Return how many jobs an action on a filter changes, by the counts of the jobs without regard to their status. */
export const countFor = (action, filter, counts) =>
  statusesFor(action, filter).reduce((sum, status) => sum + (counts?.counts[status] ?? 0), 0);

/** Return the value of `<input type="datetime-local">` for a time of the API, in the viewer's zone. */
export function localTime(time) {
  const date = new Date(time);
  if (!time || Number.isNaN(date.getTime())) return "";
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/** Return the time of the API for the value of such an input. */
export const apiTime = (local) => (local ? new Date(local).toISOString() : "");
