/** The corrections of one job's transcript: what is saved, what is not yet, and which of both texts the viewer sees. */

import { get, put } from "../api.js";
import { bodyOf, collisions, contentOf, difference, merged, newLabel, NO_EDITS, normalized, withEntry, wordKey } from "./edit-content.js";
import { batch, computed, signal } from "../element.js";

const MOST_STEPS = 200; // of undo
const states = new Map(); // by job, so that pending changes survive a look at another page

/**
 * Return the corrections of a job: the same object as before, with its pending changes, also when the session has ended
 * meanwhile. Signing out, or in as another tenant, loads the document again (account.js).
 */
export function editsOf(jobId) {
  if (!states.has(jobId)) states.set(jobId, new EditState(jobId));
  return states.get(jobId);
}

/** Getters and methods that read are for templates: what reads them renders again after a change. */
export class EditState {
  /** Grows with each change of what is shown. */
  revision = signal(0);

  #path;
  #base = signal(0); // the newest version that is known; 0: none
  #saved = signal(NO_EDITS); // its content, empty if it is outdated
  #edits = signal(NO_EDITS); // with the pending changes
  #past = signal([]);
  #versions = signal([]);
  #shown = signal("edited");
  #conflict = signal(null);
  #isSaving = signal(false);
  #visible = computed(() => (this.#shown.value === "edited" ? this.#edits.value : NO_EDITS));
  #segments = computed(() => segmentsOf(this.#visible.value));
  #pending = computed(() => difference(this.#saved.value, this.#edits.value).length);

  constructor(jobId) {
    this.#path = `/v1/jobs/${encodeURIComponent(jobId)}/transcript`;
  }

  /** Read the versions. Pending changes stay, on top of the newest version. Throws ApiError. */
  async load() {
    const theirs = await this.#newest();
    batch(() => {
      const mine = merged(this.#saved.peek(), this.#edits.peek(), theirs.content);
      this.#adopt(theirs);
      this.#edits.value = mine;
      this.#changed();
    });
  }

  wordText(segment, word, machineText) {
    return this.#visible.value.words.get(wordKey(segment, word)) ?? machineText;
  }

  isWordEdited(segment, word) {
    return this.#visible.value.words.has(wordKey(segment, word));
  }

  /** The text of a segment of the transcript as it is shown. */
  segmentText(segment) {
    const text = this.#visible.value.texts.get(segment.id);
    if (text !== undefined) return text;
    if (!segment.words?.length || !this.changed(segment.id)) return segment.text;
    return normalized(segment.words.map((one, at) => this.wordText(segment.id, at, one.word)).join(" "));
  }

  /** The label of a segment's speaker. */
  segmentSpeaker(segment, machineLabel) {
    return this.#visible.value.speakers.get(segment) ?? machineLabel;
  }

  /** The name of a label; the label itself if it has none. */
  speakerName(label) {
    return label === null || label === undefined ? "" : this.#visible.value.names.get(label) ?? label;
  }

  /** Whether a segment has a correction. */
  changed(segment) {
    return this.#segments.value.has(segment);
  }

  setWord(segment, word, machineText, text) {
    this.#set("words", wordKey(segment, word), normalized(text), machineText.trim());
  }

  setSegmentText(segment, text) {
    this.#set("texts", segment.id, normalized(text), segment.text.trim());
  }

  setSegmentSpeaker(segment, machineLabel, label) {
    this.#set("speakers", segment, label, machineLabel);
  }

  /** Give a segment to a speaker whom the engine does not know. Return the new label. */
  addSpeaker(segment, name) {
    const label = newLabel([...this.#edits.peek().speakers.values(), ...this.#edits.peek().names.keys()]);
    this.#step(withEntry(withEntry(this.#edits.peek(), "speakers", segment, label), "names", label, normalized(name)));
    return label;
  }

  renameSpeaker(label, name) {
    this.#set("names", label, normalized(name) || label, label);
  }

  get pending() { return this.#pending.value; }
  get canUndo() { return this.#past.value.length > 0; }
  get isSaving() { return this.#isSaving.value; }
  get shown() { return this.#shown.value; }
  get versions() { return this.#versions.value; }

  /** Whether there is anything to show beside the engine's text. */
  get hasEdits() { return this.#versions.value.length > 0 || this.pending > 0; }

  /** null, or `{collisions, isReplaced}`: another version came between; `isReplaced`: another transcript did. */
  get conflict() { return this.#conflict.value; }

  /** The labels that corrections added to those of the engine. */
  get newLabels() { return [...new Set(this.#edits.value.speakers.values())]; }

  /** The query of download links for what the viewer sees, as far as it is saved. */
  get exportQuery() {
    const [newest] = this.#versions.value;
    const applies = this.#shown.value === "edited" && newest && !newest.outdated && newest.changes > 0;
    return applies ? `edits=${newest.version}` : "edits=none";
  }

  /** Return the path of an export: of a version, or of the engine's text for 0. */
  exportPath(version, format) {
    return `${this.#path}?format=${format}&edits=${version || "none"}`;
  }

  show(shown) {
    batch(() => { this.#shown.value = shown; this.#changed(); });
  }

  undo() {
    const before = this.#past.peek().at(-1);
    if (!before) return;
    batch(() => {
      this.#past.value = this.#past.peek().slice(0, -1);
      this.#edits.value = before;
      this.#changed();
    });
  }

  /** Make the corrections of a version the current ones, as one pending step. Throws ApiError. */
  async restore(version) {
    this.#step(version ? contentOf(await get(`${this.#path}/edits/${version}`)) : NO_EDITS);
  }

  /** Save the pending changes. Return whether they are saved: false after a conflict. Throws ApiError for all else. */
  async save() {
    if (this.#isSaving.peek() || !this.#pending.peek()) return true;
    const content = this.#edits.peek();
    this.#isSaving.value = true;
    try {
      const version = await put(`${this.#path}/edits`, { body: bodyOf(content, this.#base.peek()) });
      const versions = [version, ...this.#versions.peek().filter((one) => one.version !== version.version)];
      batch(() => this.#adopt({ version: version.version, versions, content }));
      return true;
    } catch (error) {
      if (error.code !== "edit_conflict") throw error;
      await this.#findConflict();
      return false;
    } finally {
      this.#isSaving.value = false;
    }
  }

  /** End a conflict: "mine" puts the pending changes on top of the newest version, "theirs" drops them. */
  resolve(choice) {
    const { theirs } = this.#conflict.peek();
    batch(() => {
      const mine = choice === "mine" ? merged(this.#saved.peek(), this.#edits.peek(), theirs.content) : theirs.content;
      this.#adopt(theirs);
      this.#edits.value = mine;
      this.#past.value = [];
      this.#changed();
    });
  }

  async #findConflict() {
    const theirs = await this.#newest();
    const count = collisions(this.#saved.peek(), this.#edits.peek(), theirs.content);
    this.#conflict.value = { theirs, collisions: count, isReplaced: theirs.version === this.#base.peek() };
  }

  async #newest() {
    const { latest, versions } = await get(`${this.#path}/edits`);
    const applies = latest > 0 && !versions[0].outdated;
    return { version: latest, versions, content: applies ? contentOf(await get(`${this.#path}/edits/${latest}`)) : NO_EDITS };
  }

  #adopt({ version, versions, content }) {
    this.#base.value = version;
    this.#versions.value = versions;
    this.#saved.value = content;
    this.#conflict.value = null;
  }

  #set(kind, key, value, machineValue) {
    const wanted = value === machineValue ? undefined : value;
    if (this.#edits.peek()[kind].get(key) !== wanted) this.#step(withEntry(this.#edits.peek(), kind, key, wanted));
  }

  #step(content) {
    batch(() => {
      this.#past.value = [...this.#past.peek(), this.#edits.peek()].slice(-MOST_STEPS);
      this.#edits.value = content;
      this.#shown.value = "edited";
      this.#changed();
    });
  }

  #changed() {
    this.revision.value = this.revision.peek() + 1;
  }
}

function segmentsOf({ words, texts, speakers }) {
  const ofWords = [...words.keys()].map((key) => Number(key.slice(0, key.indexOf(":"))));
  return new Set([...ofWords, ...texts.keys(), ...speakers.keys()]);
}
