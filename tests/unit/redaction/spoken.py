"""Transcripts of what is said, one word every 0.4 s, and texts after redaction."""

from processor_service.redaction.apply import Redacted, redacted
from shared.schemas.options import JobOptions
from shared.schemas.redaction import RedactedKind
from shared.schemas.transcript import Segment, Transcript, Word

EVERYTHING = ",".join(RedactedKind)
JOINT = "|"
WORD_S, PAUSE_S = 0.4, 1.0


def spoken(*lines: str, language: str = "en", with_words: bool = True) -> Transcript:
    """Return a transcript with a segment for each line, and a pause between them.

    A JOINT divides words that the text does not divide: speech recognition returns `gmail` and `.com`.
    """
    segments, at_s = [], 0.0
    for number, line in enumerate(lines):
        words = []
        for text in line.replace(JOINT, " ").split():
            words.append(Word(word=text, start=round(at_s, 3), end=round(at_s + WORD_S, 3), confidence=0.9))
            at_s += WORD_S
        segments.append(
            Segment(
                id=number,
                start=words[0].start,
                end=words[-1].end,
                text=line.replace(JOINT, ""),
                confidence=0.9,
                no_speech_prob=0.0,
                language=language,
                words=tuple(words) if with_words else (),
            )
        )
        at_s += PAUSE_S
    return Transcript(
        text=" ".join(lines).replace(JOINT, ""), language=language, duration=at_s, segments=tuple(segments)
    )


def redact(*lines: str, kinds: str = EVERYTHING, language: str = "en") -> str:
    """Return the text of lines after redaction."""
    return result(*lines, kinds=kinds, language=language).transcript.text


def result(*lines: str, kinds: str = EVERYTHING, language: str = "en") -> Redacted:
    return redacted(spoken(*lines, language=language), JobOptions(redact=kinds))
