/** One row of the transcript: who speaks, when, and the words. Pure: it returns a template. */

import { html, nothing } from "../element.js";
import { formatClock, formatPercent } from "../format.js";
import { lastAtMost } from "../job/words.js";
import { colourOf } from "../job/speakers.js";
import { strings } from "../strings.js";

export const LOW_CONFIDENCE = 0.5; // words below it are marked

/**
 * Return the template of a row.
 * @param {object} view what transcript-view.js passes: the row, its transcript and index, the texts as shown, the
 *   matches of the find box, the word that is edited, and the word that the keyboard is at
 */
export function segmentRow(view) {
  const { row, transcript } = view;
  const segment = transcript.segments[row.segment];
  const language = segment.language ?? transcript.language ?? nothing;
  return html`
    ${view.isFirst ? segmentHead(view, segment) : nothing}
    <p class="segment-text" dir="auto" lang=${language}>${words(view, segment)}</p>`;
}

function segmentHead(view, segment) {
  const { edits, speakers, previous } = view;
  const label = labelOf(edits, segment);
  const choice = canChoose(view) ? html`<segment-speaker .edits=${edits} .segment=${segment.id} .label=${segment.speaker}
    .labels=${speakers} .readonly=${false}></segment-speaker>` : nothing;
  const time = html`<button type="button" class="segment-time" tabindex="-1" data-time=${segment.start}
    aria-label=${strings.job.transcript.goTo(formatClock(segment.start))}>${formatClock(segment.start)}</button>`;
  if (!label || (previous && labelOf(edits, previous) === label)) return html`${time}${choice}`;
  return html`${time}
    <span class="segment-speaker" data-colour=${colourOf(speakers, label) + 1}>${speaker(view, segment, label)}</span>${choice}`;
}

/** The segment that the keyboard is at can be given to another speaker. */
function canChoose({ row, cursor, isCursorSet, edits, readonly, speakers }) {
  const isHere = isCursorSet && cursor >= row.first && cursor < row.end;
  return isHere && edits && !readonly && edits.shown !== "machine" && speakers.length > 0;
}

function labelOf(edits, segment) {
  return edits ? edits.segmentSpeaker(segment.id, segment.speaker) : segment.speaker;
}

function speaker({ edits, readonly }, segment, label) {
  if (!edits) return html`<bdi>${label}</bdi>`;
  return html`<speaker-name .edits=${edits} .label=${label} .readonly=${readonly}></speaker-name>`;
}

function words(view, segment) {
  const { row } = view;
  return Array.from({ length: row.end - row.first }, (_, at) => word(view, segment, row.first + at));
}

function word(view, segment, at) {
  const { index, shown, editing } = view;
  const text = shown[at];
  const blank = /^\s*/.exec(text)[0];
  if (at === editing) return html`${blank}<word-editor .text=${text.trim()} dir="auto"></word-editor>`;
  const isDeleted = !text.trim() && index.text[at].trim();
  const isCursor = at === view.cursor;
  return html`${blank || (isDeleted ? " " : "")}<span class=${classOf(view, segment, at, isDeleted)} data-word=${at}
    title=${hint(view, segment, at)} tabindex=${isCursor ? "0" : nothing} role=${isCursor ? "button" : nothing}>${
    isDeleted ? html`<del>${index.text[at].trim()}</del>` : text.trim()}</span>`;
}

function classOf(view, segment, at, isDeleted) {
  const names = ["word"];
  if (isEdited(view, segment, at)) names.push("edited");
  else if (view.index.confidence[at] < LOW_CONFIDENCE) names.push("low");
  if (isDeleted) names.push("deleted");
  if (view.match && at >= view.match.first && at <= view.match.last) names.push("found", "found-now");
  else if (isFound(view.matches, at)) names.push("found");
  return names.join(" ");
}

function isEdited({ edits, index, row }, segment, at) {
  if (!edits || !edits.changed(segment.id)) return false;
  return segment.words?.length ? edits.isWordEdited(segment.id, at - index.firstOf[row.segment]) : true;
}

/** Matches are sorted and do not overlap but for a word at their seam. */
function isFound(matches, at) {
  if (!matches.length) return false;
  const before = lastAtMost(firsts(matches), at);
  return before >= 0 && matches[before].last >= at;
}

const cached = new WeakMap();

function firsts(matches) {
  if (!cached.has(matches)) cached.set(matches, matches.map((match) => match.first));
  return cached.get(matches);
}

function hint(view, segment, at) {
  const { index } = view;
  const text = strings.job.transcript;
  const time = () => formatClock(index.start[at]);
  if (isEdited(view, segment, at)) return text.editedHint(time(), index.text[at].trim());
  return index.confidence[at] < LOW_CONFIDENCE ? text.lowHint(time(), formatPercent(index.confidence[at])) : nothing;
}
