"""Transcripts for the tests of text formats."""

from collections.abc import Sequence

from shared.schemas.transcript import Segment, Transcript, Word

WORD_S = 0.3
COMMA_S = 0.4  # a pause


def said(text: str, start_s: float = 0.0, *, speaker: str | None = None, channel: int | None = None) -> Segment:
    """A segment spoken at an even pace, with a pause after each comma."""
    words: list[Word] = []
    for word in text.split():
        words.append(Word(word=word, start=round(start_s, 3), end=round(start_s + WORD_S, 3), confidence=1.0))
        start_s += WORD_S + (COMMA_S if word.endswith(",") else 0.0)
    return Segment(
        id=0,
        start=words[0].start,
        end=words[-1].end,
        text=text,
        speaker=speaker,
        channel=channel,
        confidence=1.0,
        no_speech_prob=0.0,
        words=tuple(words),
    )


def untimed(text: str, start_s: float, end_s: float) -> Segment:
    """A segment without words."""
    return Segment(id=0, start=start_s, end=end_s, text=text, confidence=1.0, no_speech_prob=0.0)


def transcript(*segments: Segment, language: str = "en", duration_s: float = 3600.0) -> Transcript:
    text = " ".join(segment.text for segment in segments)
    return Transcript(text=text, language=language, duration=duration_s, segments=segments)


def one_after_another(texts: Sequence[str], *, pause_s: float, speakers: Sequence[str | None]) -> list[Segment]:
    segments: list[Segment] = []
    for text, speaker in zip(texts, speakers, strict=True):
        start_s = segments[-1].end + pause_s if segments else 0.0
        segments.append(said(text, start_s, speaker=speaker))
    return segments
