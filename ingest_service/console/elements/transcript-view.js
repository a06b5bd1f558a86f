/** `<transcript-view>`: the text of a recording. Words are lit as they are said; a click on one goes there. */

import { computed, ConsoleElement, define, html, nothing, signal, untracked } from "../element.js";
import { findText, matchFrom } from "../job/find.js";
import { wordAfterKey } from "../job/keys-of-words.js";
import { indexWords, rowOf, rowsOf, wordAt, wordNear, wordsOf } from "../job/words.js";
import { strings } from "../strings.js";
import "./find-box.js";
import { segmentRow } from "./segment-row.js";
import { TranscriptList } from "./transcript-list.js";

/**
 * Properties: `transcript` (the machine's), `edits` (an EditState, or null), `readonly`, `speakers` (all labels).
 * Events: `word-seek` with `{time}`. Methods: `showTime(time)`, each frame, and `openFind()`.
 */
export class TranscriptView extends ConsoleElement {
  static properties = { transcript: null, edits: null, readonly: true, speakers: [] };

  #index = computed(() => (this.transcript ? indexWords(this.transcript.segments) : null)); // of the machine's text
  #shown = computed(() => withEdits(this.#index.value, this.transcript, this.edits));
  #rows = computed(() => (this.#index.value ? rowsOf(this.#index.value) : []));
  #wanted = signal(""); // the text to find
  #matches = computed(() => (this.#shown.value ? findText(this.#shown.value, this.#wanted.value) : []));
  #match = signal(-1); // its number in #matches
  #isFinding = signal(false);
  #isFollowing = signal(true);
  #editing = signal(-1); // the word that is edited
  #list = null;
  #said = -1; // the word that is said
  #cursor = 0; // the word that the keyboard is at
  #isCursorSet = false; // by the user
  #time = 0;

  connected() {
    this.watch(() => this.#setRows());
    this.watch(() => { this.#shown.value; this.#matches.value; this.#match.value; this.#editing.value; this.#refresh(); });
  }

  rendered() {
    if (this.#list || !this.#scroller) return;
    this.#list = new TranscriptList(this.#scroller, this.#scroller.firstElementChild, () => this.#light(), this.signal);
    this.#setRows();
    this.#leaveWhenScrolled();
  }

  get #scroller() {
    return this.querySelector(".transcript-scroller");
  }

  render() {
    const text = strings.job.transcript;
    return html`
      <find-box ?hidden=${!this.#isFinding.value} .count=${this.#matches.value.length} .current=${this.#match.value}
        @find-text=${(event) => this.#find(event.detail.text)} @find-step=${(event) => this.#step(event.detail.step)}
        @find-closed=${() => this.#closeFind()}></find-box>
      <div class="transcript-scroller" tabindex="0" role="group" aria-label=${text.label}
        @click=${(event) => this.#click(event)} @dblclick=${(event) => this.#edit(wordOf(event))}
        @keydown=${(event) => this.#key(event)} @word-saved=${(event) => this.#saved(event.detail)}
        @word-cancelled=${() => this.#stopEditing()}>
        <div class="transcript-sizer" role="list"></div>
      </div>
      ${this.#isFollowing.value ? nothing : html`<button type="button" class="transcript-follow" @click=${() => this.follow()}>
        ${text.follow}</button>`}`;
  }

  /** Light the word at a time. This is called each frame, so it touches two nodes at most and renders nothing. */
  showTime(time, isPlaying = true) {
    this.#time = time;
    const index = this.#index.peek();
    if (!index) return;
    const word = wordAt(index, time);
    if (word === this.#said) return;
    this.#said = word;
    this.#light();
    if (word >= 0 && this.#isFollowing.peek() && isPlaying && this.#editing.peek() < 0) this.#keepInView(word);
  }

  /** Follow what is said again. */
  follow() {
    this.#isFollowing.value = true;
    const index = this.#index.peek();
    if (index?.order.length) this.#reveal(wordNear(index, this.#time));
  }

  /** Open the box that finds text, or put the focus into it. */
  openFind() {
    const box = this.querySelector("find-box");
    box.hidden = false; // at once, so that no letter that is typed now is lost
    box.start();
    if (!this.#isFinding.peek()) this.#find(box.text);
    this.#isFinding.value = true;
  }

  /** Show the words at a time: the user went there. */
  revealTime(time) {
    const index = this.#index.peek();
    if (!this.#list || !index?.order.length) return;
    this.#isFollowing.value = true;
    this.#keepInView(wordNear(index, time));
  }

  #setRows() {
    const rows = this.#rows.value;
    const index = this.#index.value;
    if (!this.#list || !index) return;
    const texts = rows.map(({ first, end }) => index.text.slice(first, end).join(""));
    untracked(() => this.#list.setRows(texts, (row) => this.#row(row)));
  }

  #refresh() {
    untracked(() => this.#list?.refresh());
    this.#light();
  }

  #row(at) {
    const rows = this.#rows.peek();
    const match = this.#matches.peek()[this.#match.peek()];
    return segmentRow({
      row: rows[at], transcript: this.transcript, index: this.#index.peek(), shown: this.#shown.peek().text,
      isFirst: at === 0 || rows[at - 1].segment !== rows[at].segment,
      previous: this.transcript.segments[rows[at].segment - 1], edits: this.edits, readonly: this.readonly,
      speakers: labelsOf(this.speakers, this.edits), matches: this.#matches.peek(), match, editing: this.#editing.peek(), cursor: this.#cursor,
      isCursorSet: this.#isCursorSet,
    });
  }

  #light() {
    if (!this.#list) return;
    for (const lit of this.#scroller.querySelectorAll("[data-said]")) lit.removeAttribute("data-said");
    this.#nodeOf(this.#said)?.setAttribute("data-said", "");
  }

  #nodeOf(word) {
    return this.#scroller.querySelector(`[data-word="${word}"]`);
  }

  #reveal(word, share) {
    this.#list.reveal(rowOf(this.#rows.peek(), word), share);
  }

  #keepInView(word) {
    if (!this.#list.isInView(rowOf(this.#rows.peek(), word)) && !isSeen(this.#nodeOf(word), this.#scroller)) this.#reveal(word);
  }

  /** What a user does to scroll ends the following; what the list scrolls by itself does not. */
  #leaveWhenScrolled() {
    const leave = () => { this.#isFollowing.value = false; };
    const options = { passive: true, signal: this.signal };
    const scroller = this.#scroller;
    scroller.addEventListener("wheel", leave, options);
    scroller.addEventListener("touchmove", leave, options);
    scroller.addEventListener("pointerdown", (event) => { if (event.target === scroller) leave(); }, options);
  }

  #click(event) {
    const word = wordOf(event);
    if (word >= 0 && !getSelection().toString()) this.#seek(word);
    const time = event.target.closest("[data-time]")?.dataset.time;
    if (time) this.#seekTime(Number(time));
  }

  #seek(word) {
    this.#setCursor(word);
    this.#seekTime(this.#index.peek().start[word]);
  }

  #seekTime(time) {
    this.#isFollowing.value = true;
    this.emit("word-seek", { time });
  }

  #key(event) {
    if (event.target.closest("word-editor, input, select")) return;
    if (SCROLL_KEYS.has(event.key) && event.target === this.#scroller) this.#isFollowing.value = false;
    if (event.altKey || !this.#index.peek()?.order.length) return;
    const word = wordOf(event);
    const from = word >= 0 ? word : this.#said >= 0 ? this.#said : this.#cursor;
    if (word >= 0 && event.key === "Enter") this.#seek(word);
    else if (word >= 0 && (event.key === "F2" || event.key === "e") && !event.ctrlKey && !event.metaKey) this.#edit(word);
    else if (event.target === this.#scroller && !["ArrowLeft", "ArrowRight"].includes(event.key)) return; // it scrolls
    else if (word < 0 && event.target !== this.#scroller) return;
    else if (!this.#moveTo(word < 0 ? from : wordAfterKey(event, from, this.#index.peek(), isRightToLeft(event.target)))) return;
    event.preventDefault();
  }

  /** Make a word the one that Tab reaches. */
  #setCursor(word) {
    const rows = [this.#cursor, word].map((one) => rowOf(this.#rows.peek(), one));
    this.#cursor = word;
    this.#isCursorSet = true;
    this.#list.refreshRows(...new Set(rows));
    this.#light();
  }

  /** Put the keyboard at a word. */
  #moveTo(word) {
    if (word === null) return false;
    this.#isFollowing.value = false;
    const row = rowOf(this.#rows.peek(), word);
    if (!this.#list.isInView(row)) this.#list.reveal(row, 0.4);
    this.#setCursor(word);
    this.#nodeOf(word)?.focus({ preventScroll: true });
    this.#nodeOf(word)?.scrollIntoView({ block: "nearest" });
    return true;
  }

  #edit(word) {
    if (word < 0 || this.readonly || !this.edits || this.edits.shown === "machine") return;
    this.#isFollowing.value = false;
    this.#setCursor(word);
    this.#editing.value = word;
  }

  #stopEditing(next = this.#cursor) {
    this.#editing.value = -1;
    this.#moveTo(next);
  }

  #saved({ text, next }) {
    const word = this.#editing.peek();
    const index = this.#index.peek();
    const segment = this.transcript.segments[index.segmentOf[word]];
    if (segment.words?.length) {
      const at = word - index.firstOf[index.segmentOf[word]];
      this.edits.setWord(segment.id, at, segment.words[at].word, text);
    } else this.edits.setSegmentText(segment, text);
    const target = Math.min(index.text.length - 1, Math.max(0, word + next));
    this.#stopEditing(target);
    if (next && target !== word) this.#edit(target);
  }

  #find(text) {
    this.#wanted.value = text;
    const from = this.#list ? this.#rows.peek()[this.#list.firstInView]?.first ?? 0 : 0;
    this.#goToMatch(matchFrom(this.#matches.peek(), from));
  }

  #step(step) {
    const count = this.#matches.peek().length;
    if (count) this.#goToMatch((this.#match.peek() + step + count) % count);
  }

  #goToMatch(number) {
    this.#match.value = number;
    const match = this.#matches.peek()[number];
    if (!match) return;
    this.#isFollowing.value = false;
    this.#reveal(match.first);
    this.#setCursor(match.first);
  }

  #closeFind() {
    const match = this.#matches.peek()[this.#match.peek()];
    this.#isFinding.value = false;
    this.#wanted.value = "";
    this.#match.value = -1;
    if (match) this.#moveTo(match.first);
    else this.#scroller.focus({ preventScroll: true });
  }
}

const SCROLL_KEYS = new Set(["PageUp", "PageDown", "Home", "End", "ArrowUp", "ArrowDown"]);

function wordOf(event) {
  return Number(event.target.closest("[data-word]")?.dataset.word ?? -1);
}

function isRightToLeft(node) {
  return getComputedStyle(node).direction === "rtl";
}

function isSeen(node, scroller) {
  if (!node) return false;
  const box = node.getBoundingClientRect();
  const view = scroller.getBoundingClientRect();
  return box.top >= view.top && box.bottom <= view.bottom - view.height * 0.1;
}

/** Return all labels: those of corrections have the last colours. */
function labelsOf(speakers, edits) {
  return edits ? [...new Set([...speakers, ...edits.newLabels])] : speakers;
}

/** Return the index with the words as they are shown: times are the machine's. */
function withEdits(index, transcript, edits) {
  if (!index || !edits) return index;
  if (edits.revision.value === 0) return index; // read, so that a change makes a new index
  const text = index.text.slice();
  transcript.segments.forEach((segment, at) => {
    if (!edits.changed(segment.id)) return;
    wordsOf(segment).forEach(({ word }, number) => {
      const place = index.firstOf[at] + number;
      const shown = segment.words?.length ? edits.wordText(segment.id, number, word.trim()) : edits.segmentText(segment);
      text[place] = /^\s*/.exec(index.text[place])[0] + shown.trim();
    });
  });
  return { ...index, text };
}

define("transcript-view", TranscriptView);
