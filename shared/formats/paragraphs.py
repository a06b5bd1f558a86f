"""Divide a transcript into paragraphs of sentences. Pure.

A paragraph ends where the speaker changes, at a pause, and after a number of sentences. Channels have their own.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from shared.formats.sentences import PAUSE_S, divide_sentences
from shared.schemas import transcript as stored
from shared.subtitles.cues import in_one_row, speaker_turns
from shared.subtitles.lines import joined
from shared.subtitles.pieces import Piece, pieces_of

MOST_SENTENCES = 5
UNDIVIDED = 1 << 30  # columns


class Sentence(msgspec.Struct, frozen=True, kw_only=True):
    """A sentence with the time of its words."""

    start: float
    end: float
    text: str


class Paragraph(msgspec.Struct, frozen=True, kw_only=True):
    """Sentences of one speaker without a long pause between them."""

    start: float
    end: float
    text: str
    speaker: str | None = None
    channel: int | None = None
    sentences: tuple[Sentence, ...]


class Transcript(stored.Transcript, frozen=True, kw_only=True):
    """The transcript of a whole file; `duration` is that of the audio. `paragraphs`: if they are wanted."""

    paragraphs: tuple[Paragraph, ...] | msgspec.UnsetType = msgspec.UNSET


class Passage(NamedTuple):
    """A paragraph as pieces, sentence by sentence."""

    speaker: str | None
    channel: int | None
    sentences: Sequence[Sequence[Piece]]

    @property
    def start_s(self) -> float:
        return self.sentences[0][0].start_s

    @property
    def end_s(self) -> float:
        return self.sentences[-1][-1].end_s

    @property
    def pieces(self) -> list[Piece]:
        """The pieces of all sentences."""
        return [piece for sentence in self.sentences for piece in sentence]


def passages_of(transcript: stored.Transcript) -> list[Passage]:
    """Return the paragraphs of all channels, by start."""
    channels = sorted({segment.channel for segment in transcript.segments}, key=lambda channel: channel or 0)
    found = [passage for channel in channels for passage in _of_channel(transcript, channel)]
    return sorted(found, key=lambda passage: passage.start_s)


def _of_channel(transcript: stored.Transcript, channel: int | None) -> Iterator[Passage]:
    segments = [segment for segment in transcript.segments if segment.channel == channel]
    for turn in speaker_turns(segments):
        pieces = in_one_row([pieces_of(segment, UNDIVIDED) for segment in turn])
        for sentences in _groups(list(divide_sentences(pieces, transcript.language))):
            yield Passage(turn[0].speaker, channel, sentences)


def _groups(sentences: Sequence[Sequence[Piece]]) -> Iterator[Sequence[Sequence[Piece]]]:
    start = 0
    for end in range(1, len(sentences) + 1):
        is_full = end - start == MOST_SENTENCES
        if end == len(sentences) or is_full or sentences[end][0].start_s - sentences[end - 1][-1].end_s >= PAUSE_S:
            yield sentences[start:end]
            start = end


def clock(seconds: float) -> str:
    """Return `H:MM:SS`, for people."""
    minutes, whole_s = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole_s:02}"


def with_paragraphs(transcript: stored.Transcript) -> Transcript:
    """Return the transcript with its paragraphs."""
    fields = {name: getattr(transcript, name) for name in stored.Transcript.__struct_fields__}
    return Transcript(**fields, paragraphs=paragraphs_of(transcript))


def paragraphs_of(transcript: stored.Transcript) -> tuple[Paragraph, ...]:
    """Return the paragraphs as the API has them."""
    return tuple(map(_paragraph, passages_of(transcript)))


def _paragraph(passage: Passage) -> Paragraph:
    return Paragraph(
        start=_rounded(passage.start_s),
        end=_rounded(passage.end_s),
        text=joined(passage.pieces),
        speaker=passage.speaker,
        channel=passage.channel,
        sentences=tuple(map(_sentence, passage.sentences)),
    )


def _sentence(pieces: Sequence[Piece]) -> Sentence:
    return Sentence(start=_rounded(pieces[0].start_s), end=_rounded(pieces[-1].end_s), text=joined(pieces))


def _rounded(seconds: float) -> float:
    return round(seconds, 3)
