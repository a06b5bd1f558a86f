/** The keys of the job page that work wherever the focus is, but not where a key has another meaning. */

const STEP_S = 5;
const WRITES = "input, textarea, select, [contenteditable], dialog";
const HAS_OWN_KEYS = "button, a, summary, [role='slider'], [role='button'], [role='region'], .transcript-scroller";

/** Return "toggle", "find", the seconds to go forwards (or back), or null. */
export function pageKey(event) {
  const { key, target, defaultPrevented, altKey, shiftKey } = event;
  const withControl = event.ctrlKey || event.metaKey;
  if (defaultPrevented || altKey || shiftKey) return null;
  if (withControl) return key === "f" && !target.closest?.(".find-box, dialog") ? "find" : null;
  if (target.closest?.(WRITES)) return null;
  if (key === " ") return target.closest?.("button, a, summary") ? null : "toggle";
  if (target.closest?.(HAS_OWN_KEYS)) return null;
  if (key === "ArrowLeft") return -STEP_S;
  return key === "ArrowRight" ? STEP_S : null;
}
