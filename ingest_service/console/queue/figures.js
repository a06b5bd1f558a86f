/** The figures of the queue's page: each with its words and, where the caller may see one, the lines of its chart. Pure. */

import { formatDuration, formatNumber, formatPercent } from "../format.js";
import { added, ratio, scaled } from "./history.js";
import { strings } from "../strings.js";

const text = strings.queue;
const PER_HOUR = 6; // bins of ten minutes
const times = (value) => `${formatNumber(value)}×`;
const count = (value) => formatNumber(Math.round(value));

/**
 * Return `[{label, value, note, chart, series, format}]` for an answer of `/v1/queue`. `day(name, how)` reads a series of the
 * history in bins. What the caller may not see is left out.
 */
export function figures(queue, day) {
  return [waiting, oldest, slots, throughput, speed, failures, webhooks, uploads]
    .map((figure) => figure(queue, day))
    .filter((figure) => figure !== null);
}

/** Return the lines, or null if one is not known. */
const lines = (...wanted) => (wanted.every((one) => one.values) ? wanted : null);

const line = (label, colour, values, more = {}) => ({ label, colour, values, ...more });

function waiting(queue, day) {
  return {
    label: text.waiting,
    value: formatNumber(queue.tasks),
    note: text.waitingNote(formatDuration(queue.audio_seconds)),
    chart: text.waitingChart,
    series: lines(line(text.tasks, "accent", day("backlog_tasks", "max"))),
    format: count,
    isCount: true,
  };
}

function oldest(queue, day) {
  return {
    label: text.oldestTask,
    value: queue.tasks ? formatDuration(queue.oldest_task_s) : "–",
    note: queue.tasks ? text.oldestNote : text.nothingWaits,
    chart: text.oldestChart,
    series: lines(line(text.oldestTask, "accent", day("oldest_task_s", "max"))),
    format: formatDuration,
    isDuration: true,
  };
}

function slots(queue, day) {
  if (!queue.slots) return queue.last_hour?.webhooks === null ? running(queue) : null;
  const busy = day("slots_busy", "mean");
  const idle = day("slots_idle", "mean");
  return {
    label: text.slots,
    value: `${formatNumber(queue.slots.busy)} / ${formatNumber(queue.slots.total)}`,
    note: queue.slots.total ? text.slotsNote(formatPercent(queue.slots.busy / queue.slots.total)) : text.noSlots,
    chart: text.slotsChart,
    series: busy && idle && lines(line(text.busy, "accent", busy), line(text.allSlots, "line-strong", added(busy, idle), { isDashed: true })),
    format: formatNumber,
  };
}

const running = (queue) => ({ label: text.running, value: formatNumber(queue.running), note: text.runningNote, series: null });

function throughput(queue, day) {
  if (!queue.last_hour) return null;
  const audio = day("audio_seconds", "sum");
  return {
    label: text.throughput,
    value: formatDuration(queue.last_hour.audio_seconds),
    note: text.throughputNote,
    chart: text.throughputChart,
    series: audio && lines(line(text.throughput, "accent", scaled(audio, PER_HOUR))),
    format: formatDuration,
    isDuration: true,
  };
}

function speed(queue, day) {
  if (!queue.last_hour?.webhooks) return null;
  const audio = day("audio_seconds", "sum");
  const busy = day("busy_seconds", "sum");
  const factor = queue.last_hour.real_time_factor;
  return {
    label: text.speed,
    value: factor === null ? "–" : times(factor),
    note: factor === null ? text.speedNone : text.speedNote,
    chart: text.speedChart,
    series: audio && busy && lines(line(text.speed, "accent", ratio(audio, busy))),
    format: times,
  };
}

function failures(queue, day) {
  if (!queue.last_hour) return null;
  const { jobs_completed: completed, jobs_failed: failed, failure_rate: rate } = queue.last_hour;
  return {
    label: text.failures,
    value: formatPercent(rate),
    note: rate === null ? text.nothingEnded : text.failuresNote(formatNumber(failed), formatNumber(completed + failed)),
    chart: text.failuresChart,
    series: lines(line(text.completed, "good", day("jobs_completed", "sum")), line(text.failed, "bad", day("jobs_failed", "sum"))),
    format: count,
    isCount: true,
  };
}

function webhooks(queue, day) {
  const results = queue.last_hour?.webhooks;
  if (!results) return null;
  const { delivered, ...others } = results;
  const failed = Object.entries(others).filter(([, number]) => number);
  const all = failed.reduce((total, [, number]) => total + number, delivered);
  const failing = Object.keys(others).map((result) => day(`webhooks_${result}`, "sum"));
  return {
    label: text.webhooks,
    value: all ? formatPercent(delivered / all) : "–",
    note: all ? text.webhooksNote(formatNumber(delivered), failed.map(([result, number]) => text.results[result](formatNumber(number)))) : text.noWebhooks,
    chart: text.webhooksChart,
    series: failing.every(Boolean) ? lines(line(text.delivered, "good", day("webhooks_delivered", "sum")), line(text.notDelivered, "bad", added(...failing))) : null,
    format: count,
    isCount: true,
  };
}

function uploads(queue, day) {
  if (!queue.last_hour || queue.last_hour.uploads === null) return null;
  const accepted = day("uploads", "sum");
  return {
    label: text.uploads,
    value: formatNumber(queue.last_hour.uploads),
    note: text.uploadsNote(formatNumber(queue.last_hour.uploads / 60)),
    chart: text.uploadsChart,
    series: accepted && lines(line(text.uploads, "accent", accepted)),
    format: count,
    isCount: true,
  };
}
