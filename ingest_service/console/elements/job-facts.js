/** `<job-facts>`: what is known about a job and its audio, its options and its metadata, all as text. */

import { ConsoleElement, define, html, nothing } from "../element.js";
import { formatBytes, formatClock, formatNumber, formatPercent, formatTime } from "../format.js";
import { strings } from "../strings.js";

/** Properties: `job`, `transcript` (or null). */
export class JobFacts extends ConsoleElement {
  static properties = { job: null, transcript: null };

  render() {
    if (!this.job) return nothing;
    const text = strings.job.facts;
    const { metadata } = this.job;
    return html`
      <dl class="facts">${factsOf(this.job, this.transcript).filter(([, value]) => value).map(fact)}</dl>
      ${metadata === null ? nothing : html`
        <p class="small quiet-text">${text.metadata}</p>
        <pre class="job-metadata" tabindex="0" role="region" aria-label=${text.metadata}>${JSON.stringify(metadata, null, 2)}</pre>`}`;
  }
}

const fact = ([name, value]) => html`<div><dt>${name}</dt><dd dir="auto">${value}</dd></div>`;

function factsOf(job, transcript) {
  const text = strings.job.facts;
  const { audio } = job;
  const options = Object.entries(job.options ?? {}).map(([name, value]) => `${name}=${typeof value === "object" ? JSON.stringify(value) : value}`);
  return [
    [text.length, audio.duration === null ? null : formatClock(audio.duration)],
    [text.language, transcript && languageOf(transcript)],
    [text.speakers, transcript?.speakers.length ? formatNumber(transcript.speakers.length) : null],
    [text.model, transcript && [transcript.engine, transcript.model].filter(Boolean).join(" · ")],
    [text.from, transcript && strings.job.player.variants[transcript.transcribed_from]],
    [text.format, formatOf(audio)],
    [text.size, audio.bytes === null ? null : formatBytes(audio.bytes)],
    [text.track, audio.tracks.length > 1 ? trackOf(audio.tracks) : null],
    [text.created, formatTime(job.created_at)],
    [text.started, job.started_at && formatTime(job.started_at)],
    [text.ended, job.completed_at && formatTime(job.completed_at)],
    [text.attempts, job.attempts > 1 ? formatNumber(job.attempts) : null],
    [text.options, options.join(", ")],
    [text.id, html`<code>${job.job_id}</code>`],
  ];
}

function languageOf({ language, language_probability: probability }) {
  if (!language) return null;
  const name = new Intl.DisplayNames("en", { type: "language", fallback: "code" }).of(language);
  return probability === null || probability === undefined ? name : `${name} (${strings.job.facts.probability(formatPercent(probability))})`;
}

function formatOf({ format, channels, sample_rate: rate }) {
  const parts = [format, channels && strings.job.facts.channels(channels), rate && `${formatNumber(rate / 1000)} kHz`];
  return parts.filter(Boolean).join(" · ");
}

function trackOf(tracks) {
  const chosen = tracks.find((one) => one.transcribed);
  return chosen ? `${chosen.number} · ${strings.job.facts.track_(chosen)}` : null;
}

define("job-facts", JobFacts);
