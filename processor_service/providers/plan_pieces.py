"""Divide a chunk into pieces, one per request: whole windows of speech, without silences. Map times back to the chunk.

A piece ends in a pause, unless speech without a pause is longer than a piece may be.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import msgspec

from processor_service.audio.find_speech import FINE, speech_regions
from processor_service.audio.flac import FlacWriter
from processor_service.audio.level import levelled
from processor_service.transcribers.transcriber import SAMPLE_RATE_HZ, FloatArray, Span
from processor_service.transcribers.windows import apart, plan_windows

TOUCHING_S = 1e-3  # windows closer than this are one span


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """A file for one request. It contains the `spans` of the chunk, in seconds, one after the other."""

    path: str
    spans: tuple[Span, ...]


class ChannelPieces(msgspec.Struct, frozen=True, kw_only=True):
    """All pieces of a channel, or of the mix of all channels: one set for each maximum length."""

    duration_s: float  # of the divided audio
    sets: tuple[tuple[Piece, ...], ...]


def plan_pieces(windows: Sequence[Span], longest_s: float) -> list[tuple[Span, ...]]:
    """The spans of each piece. Windows are in order and no longer than a piece; windows that divide speech overlap."""
    pieces: list[tuple[Span, ...]] = []
    piece: tuple[Span, ...] = ()
    for window in apart(windows):
        longer = _joined(piece, window)
        if piece and length_s(longer) > longest_s:
            pieces.append(piece)
            longer = (window,)
        piece = longer
    return [*pieces, piece] if piece else pieces


def length_s(spans: Sequence[Span]) -> float:
    return sum(end_s - start_s for start_s, end_s in spans)


def _joined(piece: tuple[Span, ...], window: Span) -> tuple[Span, ...]:
    """The piece with a window added. Windows that touch become one span."""
    if piece and window[0] <= piece[-1][1] + TOUCHING_S:
        return (*piece[:-1], (piece[-1][0], window[1]))
    return (*piece, window)


class Timeline:
    """Converts times in a piece to times in the chunk."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self._spans = spans
        self._starts_s = [0.0, *accumulate(end_s - start_s for start_s, end_s in spans)][: len(spans)]

    def word(self, start_s: float, end_s: float) -> Span:
        """The span of a word, within the span that contains its middle: no word crosses a silence."""
        number = self._at((start_s + end_s) / 2)
        low_s, high_s = self._spans[number]
        earlier_s = low_s - self._starts_s[number]
        return min(max(start_s + earlier_s, low_s), high_s), min(max(end_s + earlier_s, low_s), high_s)

    def stretch(self, start_s: float, end_s: float) -> Span:
        """A span of several words, which may include silences that the piece leaves out."""
        first = self._at(start_s)
        last = max(first, bisect_left(self._starts_s, end_s) - 1)
        return self._moved(first, start_s), max(self._moved(first, start_s), self._moved(last, end_s))

    def _at(self, time_s: float) -> int:
        return max(0, bisect_right(self._starts_s, time_s) - 1)

    def _moved(self, number: int, time_s: float) -> float:
        start_s, end_s = self._spans[number]
        return min(start_s + time_s - self._starts_s[number], end_s)


def encode_pieces(audio: FloatArray, out_dir: Path, longest_s: Sequence[float]) -> ChannelPieces:
    """Write the pieces of 16 kHz mono audio as FLAC files: one set for each maximum length. Runs in a compute child."""
    duration_s = len(audio) / SAMPLE_RATE_HZ
    speech = speech_regions(audio, FINE)
    windows, heard = plan_windows(speech, duration_s), levelled(audio, speech)
    sets = tuple(
        _encode(heard, plan_pieces(windows, one_s), out_dir / str(number)) for number, one_s in enumerate(longest_s)
    )
    return ChannelPieces(duration_s=duration_s, sets=sets)


def _encode(audio: FloatArray, planned: Sequence[tuple[Span, ...]], folder: Path) -> tuple[Piece, ...]:
    folder.mkdir(parents=True)
    pieces = []
    for number, spans in enumerate(planned):
        path = folder / f"{number}.flac"
        with FlacWriter(path, SAMPLE_RATE_HZ, 1, bit_depth=16) as file:
            for start_s, end_s in spans:
                file.write(audio[round(start_s * SAMPLE_RATE_HZ) : round(end_s * SAMPLE_RATE_HZ), None])
        pieces.append(Piece(path=str(path), spans=spans))
    return tuple(pieces)
