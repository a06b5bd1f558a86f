"""`python -m tests.tools.benchmarks.redaction`: recall and precision of redaction on made-up calls, by kind.

As text: the words as they were spoken. With `--model`: calls are synthesized by eSpeak NG, transcribed, and an entity
is found if 90 % of the time in which it was said is redacted. `--clips`: a folder with manifest.json, of whose English
references no word should be redacted.
"""

import argparse
import json
import random
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile

from processor_service.redaction.apply import redacted
from processor_service.redaction.find import find_personal_data
from processor_service.redaction.tokens import units_of
from shared.schemas.options import JobOptions
from shared.schemas.redaction import RedactedKind
from shared.schemas.transcript import Segment, Transcript, Word
from tests.tools.benchmarks.espeak import VOICES, WORDS_PER_MINUTE, say
from tests.tools.benchmarks.redaction.made_up_calls import Call, Line, made_up_calls
from tests.tools.benchmarks.redaction.recognize import Recognizer

WORD_S, PAUSE_S = 0.35, 0.5
FOUND_SHARE = 0.9  # of an entity
OPTIONS = JobOptions(redact=",".join(RedactedKind), denoise=False)

Spans = Sequence[tuple[float, float]]


class Counts(NamedTuple):
    """Entities, those found, and the redacted spans with the wrong ones among them."""

    entities: int
    found: int
    spans: int
    wrong: int


def main() -> None:
    """Print a line for each kind and, last, all figures as one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.benchmarks.redaction", description=__doc__)
    parser.add_argument("--each", type=int, default=120, help="entities of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", help="such as tiny.en: synthesize and transcribe")
    parser.add_argument("--clips", type=Path)
    parser.add_argument("--show", action="store_true", help="print what was not found, and what was redacted wrongly")
    arguments = parser.parse_args()
    calls = made_up_calls(arguments.seed, arguments.each)
    hear = Heard(arguments.model) if arguments.model else as_spoken
    figures = _measure(calls, hear, show=arguments.show)
    if arguments.clips:
        figures["clips"] = _clips(arguments.clips, show=arguments.show)
    print(json.dumps(figures))


def _measure(calls: Sequence[Call], hear: Any, *, show: bool) -> dict[str, Any]:
    counts: dict[str, list[Counts]] = defaultdict(list)
    for call in calls:
        transcript, entities = hear(call)
        result = redacted(transcript, OPTIONS)
        kind = next(line.kind for line in call if line.kind)
        found = [_share_in(entity, result.spans) >= FOUND_SHARE for entity in entities]
        wrong = [span for span in result.spans if _share_in(span, entities) == 0]
        counts[kind].append(Counts(1, int(all(found)), len(result.spans), len(wrong)))
        if show and (not all(found) or wrong):
            print(f"{kind} {'wrong' if all(found) else 'missed'}: {result.transcript.text}\n    {transcript.text}")
    totals = {kind: Counts(*map(sum, zip(*some, strict=True))) for kind, some in counts.items()}
    figures = {kind: _rates(one) for kind, one in totals.items()}
    for kind, rates in figures.items():
        print(kind, rates)
    return {"kinds": figures}


def _rates(counts: Counts) -> dict[str, Any]:
    recall = round(counts.found / counts.entities, 3)
    precision = round(1 - counts.wrong / counts.spans, 3) if counts.spans else None
    return {"recall": recall, "precision": precision, **counts._asdict()}


def _share_in(span: tuple[float, float], others: Spans) -> float:
    start_s, end_s = span
    inside_s = sum(max(0.0, min(end_s, last_s) - max(start_s, first_s)) for first_s, last_s in others)
    return inside_s / (end_s - start_s)


def as_spoken(call: Call) -> tuple[Transcript, Spans]:
    """Return a transcript of exactly what is said, and when entities are said."""
    segments, entities, at_s = [], [], 0.0
    for number, line in enumerate(call):
        words = []
        for start, text in _words(line.text):
            words.append(Word(word=text, start=at_s, end=at_s + WORD_S, confidence=1.0))
            if line.entity and line.entity[0] <= start < line.entity[1]:
                entities.append((at_s, at_s + WORD_S))
            at_s += WORD_S
        segments.append(_segment(number, line, words))
        at_s += PAUSE_S
    text = " ".join(line.text for line in call)
    return Transcript(text=text, language="en", duration=at_s, segments=tuple(segments)), entities


def _words(text: str) -> Iterator[tuple[int, str]]:
    at = 0
    for word in text.split():
        at = text.index(word, at)
        yield at, word
        at += len(word)


def _segment(number: int, line: Line, words: Sequence[Word]) -> Segment:
    return Segment(
        id=number, start=words[0].start, end=words[-1].end, text=line.text, confidence=1.0, no_speech_prob=0.0,
        language="en", words=tuple(words),
    )  # fmt: skip


class Heard:
    """Synthesizes calls with changing voices and transcribes them."""

    def __init__(self, model: str) -> None:
        self._recognizer = Recognizer(model)
        self._chance = random.Random(7)

    def __call__(self, call: Call) -> tuple[Transcript, Spans]:
        """Return the transcript of a call, and when its entities are said."""
        voices, pace = self._chance.sample(VOICES, 2), self._chance.choice(WORDS_PER_MINUTE)
        pieces, entities, frames = [], [], 0
        for line in call:
            sound = say(line.text, voices[0 if line.entity else 1], pace)
            if line.entity:
                start_s, end_s = sound.span_of(*line.entity)
                entities.append((frames / sound.rate_hz + start_s, frames / sound.rate_hz + end_s))
            pause = np.zeros(round(PAUSE_S * sound.rate_hz), np.float32)
            pieces += [sound.samples, pause]
            frames += len(sound.samples) + len(pause)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "call.flac"
            soundfile.write(path, np.concatenate(pieces), sound.rate_hz)
            return self._recognizer.transcript(path, OPTIONS), entities


def _clips(folder: Path, *, show: bool) -> dict[str, Any]:
    """Return how many words of English references are redacted, by kind, names apart."""
    texts = [one["transcript"] for one in json.loads((folder / "manifest.json").read_text()) if _is_english(one)]
    words, by_kind = 0, defaultdict[str, int](int)
    for text in texts:
        transcript, _ = as_spoken((Line(text),))
        units = units_of(transcript)
        kind_of = find_personal_data(units, list(RedactedKind))
        words += len(units)
        for number, kind in kind_of.items():
            by_kind[kind] += 1
            if show:
                print(f"{kind}: {' '.join(unit.word.word for unit in units[max(0, number - 5) : number + 4])}")
    return {"texts": len(texts), "words": words, "redacted_words": dict(by_kind)}


def _is_english(clip: dict[str, Any]) -> bool:
    return clip.get("language") == "en" and bool((clip.get("transcript") or "").strip())


if __name__ == "__main__":
    main()
