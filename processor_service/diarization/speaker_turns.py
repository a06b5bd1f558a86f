"""Compute the speaker turns of a whole file from the voices of its chunks, independent of the cuts.

The speakers are found from coarse pieces; fine pieces decide who speaks when.
"""

from collections.abc import Sequence
from itertools import groupby

import msgspec
import numpy as np
import numpy.typing as npt

from processor_service.diarization.cluster import adapt_speakers, find_speakers
from processor_service.diarization.known_voices import KnownVoice, VoiceMatch, match_voices, voices_of_speakers
from processor_service.diarization.voices import Embeddings, Pieces, VoicePiece, Voices, embeddings_of
from shared.schemas.transcript import Turn

MIN_PIECE_S = 0.5  # shorter pieces do not affect the number of speakers
MAX_GAP_S = 0.5  # within a turn
MIN_TURN_S = 0.1
# A turn continues over a longer pause of all speakers that is short compared with the speech on both sides: a breath
# between two long sentences does not end it.
MAX_PAUSE_S = 2.0
MAX_PAUSE_SHARE = 0.5  # of the shorter side

Labels = npt.NDArray[np.intp]


def speaker_turns(
    chunks: Sequence[Voices], *, at_least: int | None = None, at_most: int | None = None
) -> tuple[Turn, ...]:
    """The turns in order of their start; turns of simultaneous speech overlap. Speakers are numbered by appearance."""
    return turns_and_matches(chunks, (), at_least=at_least, at_most=at_most)[0]


def turns_and_matches(
    chunks: Sequence[Voices],
    known: Sequence[KnownVoice],
    *,
    at_least: int | None = None,
    at_most: int | None = None,
) -> tuple[tuple[Turn, ...], tuple[VoiceMatch, ...]]:
    """The turns, and the known voices among their speakers."""
    pieces, embeddings = _joined_pieces(chunks)
    if not pieces:
        return (), ()
    seconds = _seconds(pieces)
    clear = _clear(pieces, seconds)
    speakers = find_speakers(embeddings[clear], seconds[clear], at_least=at_least, at_most=at_most)
    fine, of_fine = _joined_pieces([chunk.fine or chunk for chunk in chunks])
    speakers = adapt_speakers(speakers, of_fine, _seconds(fine) * [piece.is_clear for piece in fine])
    turns, names = _turns(fine, _labels(fine, of_fine @ speakers.T))
    if not known:
        return turns, ()
    voices = voices_of_speakers(embeddings[clear], seconds[clear], speakers)
    return turns, match_voices({names[number]: voice for number, voice in voices.items() if number in names}, known)


def _joined_pieces(chunks: Sequence[Pieces]) -> tuple[list[VoicePiece], Embeddings]:
    pieces = [piece for chunk in chunks for piece in chunk.pieces]
    return pieces, np.concatenate([embeddings_of(chunk) for chunk in chunks])


def _seconds(pieces: Sequence[VoicePiece]) -> npt.NDArray[np.floating]:
    return np.array([piece.end - piece.start for piece in pieces])


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


def _turns(pieces: Sequence[VoicePiece], labels: Labels) -> tuple[tuple[Turn, ...], dict[int, str]]:
    """The turns, and the name of each label that has one."""
    spans = [(int(label), span) for label in np.unique(labels) for span in _joined(pieces, labels == label)]
    names: dict[int, str] = {}
    turns = []
    for label, (start, end) in sorted(spans, key=lambda one: one[1]):
        name = names.setdefault(label, f"SPEAKER_{len(names):02d}")
        turns.append(Turn(speaker=name, start=round(start, 3), end=round(end, 3)))
    return _continued(turns), names


def _continued(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """Join two turns of one speaker, in order of start, across a pause in which no one speaks."""
    joined = list(turns[:1])
    latest = 0  # the turn that ends last
    for turn in turns[1:]:
        before = joined[latest]
        if turn.speaker == before.speaker and 0 <= turn.start - before.end <= _longest_pause_s(before, turn):
            joined[latest] = msgspec.structs.replace(before, end=turn.end)
            continue
        joined.append(turn)
        if turn.end >= before.end:
            latest = len(joined) - 1
    return tuple(joined)


def _longest_pause_s(before: Turn, after: Turn) -> float:
    return min(MAX_PAUSE_S, MAX_PAUSE_SHARE * min(before.end - before.start, after.end - after.start))


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
