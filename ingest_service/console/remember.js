/** Small things that this browser remembers: the theme, the options used last. Works without storage, and forgets then. */

const PREFIX = "headrace.";

/** Return what was remembered, or null. */
export function remembered(name) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + name));
  } catch {
    return null;
  }
}

/** Remember a value that JSON can hold; null and undefined are forgotten. */
export function remember(name, value) {
  try {
    if (value === null || value === undefined) localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // a browser without storage, or with a full one
  }
}
