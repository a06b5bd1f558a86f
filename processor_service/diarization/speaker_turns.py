"""Compute the speaker turns of a whole file from the voices of its chunks, independent of the cuts."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np
import numpy.typing as npt

from processor_service.diarization.cluster import find_speakers
from processor_service.diarization.voices import VoicePiece, Voices, embeddings_of
from shared.schemas.transcript import Turn

MIN_PIECE_S = 0.5  # shorter pieces do not affect the number of speakers
MAX_GAP_S = 0.5  # within a turn
MIN_TURN_S = 0.1

Labels = npt.NDArray[np.intp]


def speaker_turns(
    chunks: Sequence[Voices], *, at_least: int | None = None, at_most: int | None = None
) -> tuple[Turn, ...]:
    """The turns in order of their start; turns of simultaneous speech overlap. Speakers are numbered by appearance."""
    pieces = [piece for chunk in chunks for piece in chunk.pieces]
    if not pieces:
        return ()
    embeddings = np.concatenate([embeddings_of(chunk) for chunk in chunks])
    seconds = np.array([piece.end - piece.start for piece in pieces])
    clear = _clear(pieces, seconds)
    speakers = find_speakers(embeddings[clear], seconds[clear], at_least=at_least, at_most=at_most)
    return _turns(pieces, _labels(pieces, embeddings @ speakers.T))


def _clear(pieces: Sequence[VoicePiece], seconds: npt.NDArray[np.floating]) -> Labels:
    """The pieces that distinguish voices, or all if there are none."""
    clear = np.array([piece.is_clear for piece in pieces]) & (seconds >= MIN_PIECE_S)
    return np.flatnonzero(clear) if clear.any() else np.arange(len(pieces))


def _labels(pieces: Sequence[VoicePiece], similarity: npt.NDArray[np.floating]) -> Labels:
    """The most similar speaker of each piece. Two simultaneous pieces get different speakers."""
    labels: Labels = similarity.argmax(axis=1)
    for _, together in groupby(range(len(pieces)), key=lambda number: pieces[number].start):
        first, *others = together
        if others and similarity.shape[1] > 1:
            labels[first], labels[others[0]] = _best_pair(similarity[first], similarity[others[0]])
    return labels


def _best_pair(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating]) -> tuple[int, int]:
    """The most similar pair of different speakers."""
    both = first[:, None] + second[None, :]
    np.fill_diagonal(both, -np.inf)
    row, column = divmod(int(both.argmax()), len(second))
    return row, column


def _turns(pieces: Sequence[VoicePiece], labels: Labels) -> tuple[Turn, ...]:
    spans = [(int(label), span) for label in np.unique(labels) for span in _joined(pieces, labels == label)]
    names: dict[int, str] = {}
    turns = []
    for label, (start, end) in sorted(spans, key=lambda one: one[1]):
        name = names.setdefault(label, f"SPEAKER_{len(names):02d}")
        turns.append(Turn(speaker=name, start=round(start, 3), end=round(end, 3)))
    return tuple(turns)


def _joined(pieces: Sequence[VoicePiece], own: npt.NDArray[np.bool_]) -> list[tuple[float, float]]:
    """The pieces of one speaker as spans without small gaps."""
    spans: list[tuple[float, float]] = []
    for number in np.flatnonzero(own).tolist():
        start, end = pieces[number].start, pieces[number].end
        if spans and start - spans[-1][1] < MAX_GAP_S:
            start, before = spans.pop()
            end = max(end, before)
        spans.append((start, end))
    return [span for span in spans if span[1] - span[0] >= MIN_TURN_S]
