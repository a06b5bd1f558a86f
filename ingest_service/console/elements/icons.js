/** Icons: lines on a grid of 16, in the colour of the text. They are decoration; a label or `aria-label` says what they mean. */

import { html, svg } from "../element.js";

const ICONS = {
  logo: svg`<path d="M2 8h1M5 5.5v5M8 3v10M11 5v6M14 7.5v1"/>`,
  upload: svg`<path d="M8 10.5V2.5M4.8 5.4 8 2.3l3.2 3.1M2.5 10.5v3h11v-3"/>`,
  list: svg`<path d="M5.5 4h8M5.5 8h8M5.5 12h8M2.5 4h.01M2.5 8h.01M2.5 12h.01"/>`,
  pulse: svg`<path d="M1.5 8.5h3l2-5 3 9 2-4h3"/>`,
  alert: svg`<path d="M8 2.2 14.3 13.3H1.7ZM8 6.5v3M8 11.4v.01"/>`,
  send: svg`<path d="M14 2 7 9M14 2 9.6 14 7 9 2 6.4Z"/>`,
  key: svg`<circle cx="5.2" cy="10.8" r="2.7"/><path d="M7.2 8.8 13.5 2.5M11 5l2 2"/>`,
  menu: svg`<path d="M2.5 4.5h11M2.5 8h11M2.5 11.5h11"/>`,
  close: svg`<path d="m3.5 3.5 9 9M12.5 3.5l-9 9"/>`,
  check: svg`<path d="m3 8.5 3.2 3.2L13 4.8"/>`,
  copy: svg`<rect x="5.5" y="5.5" width="8" height="8" rx="1.5"/><path d="M10.5 5.5V4A1.5 1.5 0 0 0 9 2.5H4A1.5 1.5 0 0 0 2.5 4v5A1.5 1.5 0 0 0 4 10.5h1.5"/>`,
  play: svg`<path d="M4.5 2.8v10.4L13 8Z"/>`,
  pause: svg`<path d="M5 3v10M11 3v10"/>`,
  stop: svg`<rect x="4" y="4" width="8" height="8" rx="1"/>`,
  retry: svg`<path d="M13 8a5 5 0 1 1-1.5-3.6M13 2.5v3h-3"/>`,
  search: svg`<circle cx="7" cy="7" r="4.2"/><path d="m10.2 10.2 3.3 3.3"/>`,
  mic: svg`<rect x="6" y="1.8" width="4" height="7.4" rx="2"/><path d="M3.5 7.5a4.5 4.5 0 0 0 9 0M8 12v2.2"/>`,
  link: svg`<path d="M6.8 9.2a2.6 2.6 0 0 0 3.7 0l2.3-2.3a2.6 2.6 0 0 0-3.7-3.7l-.8.8M9.2 6.8a2.6 2.6 0 0 0-3.7 0L3.2 9.1a2.6 2.6 0 0 0 3.7 3.7l.8-.8"/>`,
  folder: svg`<path d="M1.8 12.5v-9h4l1.6 1.8h6.8v7.2Z"/>`,
  file: svg`<path d="M4 1.8h5l3.2 3.2v9.2H4ZM9 1.8V5h3.2"/>`,
  trash: svg`<path d="M2.5 4h11M6 4V2.5h4V4M4 4l.7 9.5h6.6L12 4"/>`,
  download: svg`<path d="M8 2.5v8M4.8 7.6 8 10.7l3.2-3.1M2.5 13.5h11"/>`,
  edit: svg`<path d="M2.8 13.2 3.5 10l7.3-7.3 2.5 2.5L6 12.5Z"/>`,
  chevron: svg`<path d="m6 3.5 4.5 4.5L6 12.5"/>`,
  info: svg`<circle cx="8" cy="8" r="6"/><path d="M8 7.2v4M8 4.8v.01"/>`,
};

/** Return an icon by its name. */
export const icon = (name) => html`
  <svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">${ICONS[name]}</svg>`;
