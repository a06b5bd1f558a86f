"""`python -m tests.tools.benchmarks.redaction.end_to_end`: how much personal data is left after recognition.

Utterances are synthesized by eSpeak NG in six voices, transcribed, and redacted. Personal data is left if a digit, or
a word of it, is still in the text. It was heard if the transcript says the same digits and letters. The redacted
copy of the audio is transcribed again.
"""

import argparse
import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile

from processor_service.audio.redact import redact_file
from processor_service.redaction.apply import redacted
from processor_service.redaction.find import find_personal_data
from processor_service.redaction.tokens import units_of
from shared.schemas.options import JobOptions
from shared.schemas.redaction import RedactedKind
from shared.schemas.transcript import Transcript
from tests.tools.benchmarks.espeak import VOICES, WORDS_PER_MINUTE, say
from tests.tools.benchmarks.redaction.read_signs import digits_of, signs_of, words_of
from tests.tools.benchmarks.redaction.recognize import Recognizer
from tests.tools.benchmarks.redaction.spoken_forms import ORDINARY, Utterance, utterances

OPTIONS = JobOptions(redact=",".join(RedactedKind), denoise=False)
SPELLED = frozenset({RedactedKind.EMAIL, RedactedKind.NAME})  # kinds that are words; the others are digits
LEAST_RUN = 3  # digits that follow each other as in the secret
LEAST_WORD = 4  # letters
PAUSE_S = 0.6
ENGLISH_FOLDERS = ("clean", "diarization")  # the other folders repeat their recordings


class Result(NamedTuple):
    """What became of one utterance. `kinds`: of the labels in its text."""

    utterance: Utterance
    heard: str
    text: str
    text_of_copy: str
    kinds: tuple[str, ...]

    @property
    def is_heard(self) -> bool:
        """Whether the transcript says the secret as it was said."""
        return all(signs_of(one) in signs_of(self.heard) for one in self.utterance.secrets)

    @property
    def left(self) -> list[str]:
        """What the redacted text still says of the secret, heard right or not."""
        return left_of(self.utterance, self.text, least_digits=1)

    @property
    def left_in_copy(self) -> list[str]:
        return left_of(self.utterance, self.text_of_copy, least_digits=LEAST_RUN)


def left_of(utterance: Utterance, text: str, *, least_digits: int) -> list[str]:
    """Return the digits, or the words, of a secret that a text says."""
    secret = " ".join(utterance.secrets)
    if utterance.kind in SPELLED:
        hidden = {word for word in words_of(secret) if len(word) >= LEAST_WORD} | {signs_of(secret)}
        others = frozenset(words_of(utterance.others))
        return sorted(word for word in hidden - others if word in signs_of(text))
    digits, said = digits_of(secret), digits_of(text)
    if least_digits == 1:  # no other word of an utterance is a number
        return [said] if said else []
    runs = (said[at : at + least_digits] for at in range(len(said) - least_digits + 1))
    return sorted({run for run in runs if run in digits})


def main() -> None:
    """Print what is left, a line for each kind and, last, all figures as one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.benchmarks.redaction.end_to_end", description=__doc__)
    parser.add_argument("--model", default="tiny.en")
    parser.add_argument("--every", type=int, default=1, help="take only each n-th utterance")
    parser.add_argument("--corpus", default="", help="a folder with manifest.json, whose English is transcribed")
    parser.add_argument("--show", action="store_true", help="print every utterance")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure = _Measure(Recognizer(arguments.model), Path(folder))
        results = []
        for at, one in enumerate(utterances()[:: arguments.every]):
            results.append(measure.result(at, one))
            _print(results[-1], show=arguments.show)
        figures = {"model": arguments.model, **_figures(results), "ordinary": measure.ordinary()}
        if arguments.corpus:
            figures["corpus"] = measure.corpus(Path(arguments.corpus))
    for kind, rates in figures["kinds"].items():
        print(kind, rates)
    print(json.dumps(figures))


def _print(one: Result, *, show: bool) -> None:
    if one.left or one.left_in_copy or show:
        print(
            f"{one.utterance.kind}, {'heard' if one.is_heard else 'misheard'}, left: {', '.join(one.left) or 'nothing'}"
        )
        print(f"    {one.heard}\n    {one.text}", flush=True)
    if one.left_in_copy:
        print(f"    The copy says {', '.join(one.left_in_copy)}: {one.text_of_copy}", flush=True)


class _Measure:
    def __init__(self, recognizer: Recognizer, folder: Path) -> None:
        self._recognizer = recognizer
        self._said, self._copy = folder / "said.flac", folder / "copy.flac"

    def result(self, number: int, utterance: Utterance) -> Result:
        """Synthesize, transcribe, redact, and transcribe the redacted copy."""
        self._say([utterance.text], number)
        transcript = self._recognizer.transcript(self._said, OPTIONS)
        result = redacted(transcript, OPTIONS)
        redact_file(self._said, self._copy, result.spans, with_tone=number % 2 == 0)
        copy = self._recognizer.transcript(self._copy, OPTIONS)
        return Result(utterance, transcript.text, result.transcript.text, copy.text, _kinds(transcript))

    def ordinary(self) -> dict[str, Any]:
        """Return how many words of utterances without personal data are redacted, by kind."""
        self._say(ORDINARY, 0)
        return _false_redactions([self._recognizer.transcript(self._said, OPTIONS)])

    def corpus(self, folder: Path) -> dict[str, Any]:
        """Return the same for transcripts of recordings."""
        clips = json.loads((folder / "manifest.json").read_text())
        paths = [folder / one["file"] for one in clips if one.get("language") == "en" and one.get("transcript")]
        readable = [path for path in paths if path.parent.name in ENGLISH_FOLDERS and "joined" not in path.name]
        return _false_redactions([self._recognizer.transcript(path, OPTIONS) for path in readable])

    def _say(self, texts: Sequence[str], number: int) -> None:
        sounds = [
            say(text, VOICES[at % len(VOICES)], WORDS_PER_MINUTE[at % len(WORDS_PER_MINUTE)])
            for at, text in enumerate(texts, number)
        ]
        rate_hz = sounds[0].rate_hz
        pause = np.zeros(round(PAUSE_S * rate_hz), np.float32)
        pieces = [pause, *(piece for sound in sounds for piece in (sound.samples, pause))]
        soundfile.write(self._said, np.concatenate(pieces), rate_hz)


def _kinds(transcript: Transcript) -> tuple[str, ...]:
    return tuple(set(find_personal_data(units_of(transcript), list(RedactedKind)).values()))


def _figures(results: Sequence[Result]) -> dict[str, Any]:
    by_kind: dict[str, list[Result]] = defaultdict(list)
    for one in results:
        by_kind[one.utterance.kind].append(one)
    kinds = {kind: _rates(some) for kind, some in by_kind.items()}
    return {"kinds": kinds, "all": _rates(results)}


def _rates(results: Sequence[Result]) -> dict[str, Any]:
    left = [one for one in results if one.left]
    return {
        "entities": len(results),
        "recall": round(1 - len(left) / len(results), 3),
        "heard": sum(one.is_heard for one in results),
        "left_though_heard": sum(one.is_heard for one in left),
        "left_misheard": sum(not one.is_heard for one in left),
        "of_another_kind": sum(bool(set(one.kinds) - {one.utterance.kind}) for one in results),
        "left_in_copy": sum(bool(one.left_in_copy) for one in results),
        "left_in_copy_only": sum(bool(one.left_in_copy) and not one.left for one in results),
    }


def _false_redactions(transcripts: Sequence[Transcript]) -> dict[str, Any]:
    """Return the redacted words of each kind in 1,000. Each is printed with the words around it."""
    words, count = 0, Counter[str]()
    for transcript in transcripts:
        units = units_of(transcript)
        kind_of = find_personal_data(units, list(RedactedKind))
        words += len(units)
        count.update(kind_of.values())
        texts = [unit.word.word.strip() for unit in units]
        for first, last in _spans(sorted(kind_of)):
            around = f"{' '.join(texts[max(0, first - 5) : first])} [{' '.join(texts[first : last + 1])}]"
            print(f"{kind_of[first]}: {around} {' '.join(texts[last + 1 : last + 4])}")
    by_kind = {kind: round(1000 * some / words, 2) for kind, some in count.items()}
    return {"words": words, "redacted_words": dict(count), "in_1000": by_kind}


def _spans(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    first = last = None
    for number in numbers:
        if first is None or last is None or number > last + 1:
            if first is not None and last is not None:
                yield first, last
            first = number
        last = number
    if first is not None and last is not None:
        yield first, last


if __name__ == "__main__":
    main()
