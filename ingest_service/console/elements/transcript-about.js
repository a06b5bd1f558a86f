/** `<transcript-about>`: summary, chapters and action items of a transcript; a click on a time goes there. */

import { ConsoleElement, define, html, nothing } from "../element.js";
import { formatClock } from "../format.js";
import { strings } from "../strings.js";

/** Property: `transcript`. Event: `about-seek` with `{time}`. */
export class TranscriptAbout extends ConsoleElement {
  static properties = { transcript: null };

  render() {
    const { summary, chapters, action_items: items } = this.transcript;
    const text = strings.job.about;
    return html`
      ${summary ? html`<h2>${text.summary}</h2>${summary.split("\n").map((line) => html`<p dir="auto">${line}</p>`)}` : nothing}
      ${chapters?.length ? html`<h2>${text.chapters}</h2>
        <ol class="chapters">${chapters.map((one) => this.#item(one.start, html`<strong>${one.title}</strong>`, one.summary))}</ol>` : nothing}
      ${items?.length ? html`<h2>${text.actionItems}</h2>
        <ul class="chapters">${items.map((one) => this.#item(one.start, one.text, one.owner))}</ul>` : nothing}
      ${summary || chapters || items ? html`<p class="small quiet-text">${text.madeBy(this.transcript.summarized_by)}</p>` : nothing}`;
  }

  #item(start, heading, detail) {
    return html`
      <li><button type="button" class="link number" @click=${() => this.emit("about-seek", { time: start })}>${formatClock(start)}</button>
        <div dir="auto">${heading}${detail ? html`<p class="small quiet-text">${detail}</p>` : nothing}</div></li>`;
  }
}

define("transcript-about", TranscriptAbout);
