/** Numbers, sizes and times as people read them. Times are shown in the viewer's zone. */

import { strings } from "./strings.js";

const LOCALE = "en";
const NONE = "–";
const number = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 1 });
const percent = new Intl.NumberFormat(LOCALE, { style: "percent", maximumFractionDigits: 0 });
const dateTime = new Intl.DateTimeFormat(LOCALE, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });
const shortTime = new Intl.DateTimeFormat(LOCALE, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const ROUNDED_UP = 1000 / 999.5; // 999.6 kB is shown as 1.0 MB
const BYTE_UNITS = ["B", "kB", "MB", "GB", "TB"];
const AGE_UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

const isMissing = (value) => value === null || value === undefined || Number.isNaN(value);

/** 12345.67 → "12,345.7". */
export const formatNumber = (value) => (isMissing(value) ? NONE : number.format(value));

/** 0.256 → "26%". */
export const formatPercent = (fraction) => (isMissing(fraction) ? NONE : percent.format(fraction));

/** 1234567 → "1.2 MB", in powers of 1000. */
export function formatBytes(bytes) {
  if (isMissing(bytes)) return NONE;
  const power = Math.min(BYTE_UNITS.length - 1, bytes < 1000 ? 0 : Math.floor(Math.log10(bytes * ROUNDED_UP) / 3));
  const value = bytes / 1000 ** power;
  return `${value >= 100 || power === 0 ? Math.round(value) : value.toFixed(1)} ${BYTE_UNITS[power]}`;
}

/** The position in a recording, or its length: 3725.4 → "1:02:05", 65 → "1:05". */
export function formatClock(seconds) {
  if (isMissing(seconds)) return NONE;
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const shown = parts[0] ? parts : parts.slice(1);
  return shown.map((part, index) => (index ? String(part).padStart(2, "0") : part)).join(":");
}

/** A span of time in its two largest units: 3725 → "1 h 2 min", 0.4 → "0.4 s". */
export function formatDuration(seconds) {
  if (isMissing(seconds)) return NONE;
  if (seconds < 10) return `${number.format(Math.max(0, seconds))} s`;
  const whole = Math.round(seconds);
  const first = AGE_UNITS.findIndex(([size]) => whole >= size);
  return AGE_UNITS.slice(first, first + 2)
    .map(([size, unit], index) => [Math.floor((index ? whole % AGE_UNITS[first][0] : whole) / size), unit])
    .filter(([count]) => count)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(" ");
}

/** How long ago a time was, in one unit: "just now", "5 min ago". */
export function formatAge(time, now = Date.now()) {
  if (isMissing(time)) return NONE;
  const seconds = Math.round((now - new Date(time)) / 1000);
  if (seconds < 5) return strings.format.justNow;
  const [size, unit] = AGE_UNITS.find(([one]) => seconds >= one);
  return strings.format.ago(`${Math.floor(seconds / size)} ${unit}`);
}

/** A time to the second: "Nov 28, 2026, 17:21:48". */
export const formatTime = (time) => (isMissing(time) ? NONE : dateTime.format(new Date(time)));

/** A time to the minute: "Nov 28, 17:21". */
export const formatShortTime = (time) => (isMissing(time) ? NONE : shortTime.format(new Date(time)));
