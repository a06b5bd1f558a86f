"""Divide a window of the segmentation net into pieces of one voice each, in frames of that window. Pure."""

from collections.abc import Iterator
from itertools import pairwise

import msgspec
import numpy as np
import numpy.typing as npt

from processor_service.diarization.segmentation_net import FRAME_S, LOCAL_SPEAKERS


class Grain(msgspec.Struct, frozen=True, kw_only=True):
    """How finely speech is cut, and from which frames of the local speaker a piece is embedded. All in frames."""

    longest: int  # of a piece: short, so that two voices that the net took for one can be separated
    embedded: int  # per embedding, or the length of the piece if it is longer
    reach: int  # the most frames between the piece and one that is embedded with it


WINDOW_REACH = round(10.0 / FRAME_S)  # the whole window

# Coarse pieces have reliable embeddings, which find the speakers. Fine pieces have embeddings of their own sound alone,
# which decide who speaks: a turn of half a second is not embedded with the turn of another speaker that precedes it.
# Chosen on the recordings that docs/benchmarks.md names.
COARSE = Grain(longest=round(1.5 / FRAME_S), embedded=round(1.5 / FRAME_S), reach=WINDOW_REACH)
FINE = Grain(longest=round(0.75 / FRAME_S), embedded=round(0.5 / FRAME_S), reach=round(0.25 / FRAME_S))

Frames = npt.NDArray[np.intp]
WindowActivity = npt.NDArray[np.bool_]  # (frames, local speakers)


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """A span with speech of one local speaker, and the frames near it that are embedded."""

    grain: Grain
    start: int
    end: int
    local_speaker: int
    is_alone: bool
    embedded: tuple[int, ...]


def cut_pieces(activity: WindowActivity, start: int, end: int, grain: Grain) -> Iterator[Piece]:
    """The pieces between two frames of a window. A piece ends where any speaker starts or ends, or when it is long."""
    is_alone = activity.sum(axis=1) == 1
    for speaker in range(LOCAL_SPEAKERS):
        distinct = distinct_frames(activity, speaker)
        for first, last in _runs(activity[start:end], speaker, grain.longest):
            piece = (start + first, start + last)
            yield Piece(
                grain=grain,
                start=piece[0],
                end=piece[1],
                local_speaker=speaker,
                is_alone=bool(is_alone[piece[0]]),
                embedded=_nearest(distinct, *piece, grain),
            )


def distinct_frames(activity: WindowActivity, speaker: int) -> Frames:
    """The frames in which a local speaker speaks alone, or all of the speaker's frames if there are none."""
    active = activity[:, speaker]
    alone = np.flatnonzero(active & (activity.sum(axis=1) == 1))
    return alone if len(alone) else np.flatnonzero(active)


def _runs(activity: WindowActivity, speaker: int, longest: int) -> Iterator[tuple[int, int]]:
    """The spans in which the speaker is active and the set of speakers is constant, cut to about equal lengths."""
    changes = np.flatnonzero((activity[1:] != activity[:-1]).any(axis=1)) + 1
    edges = [0, *changes.tolist(), len(activity)]
    for first, last in pairwise(edges):
        if last > first and activity[first, speaker]:
            parts = -(-(last - first) // longest)
            cuts = np.linspace(first, last, parts + 1).round().astype(int).tolist()
            yield from pairwise(cuts)


def _nearest(frames: Frames, start: int, end: int, grain: Grain) -> tuple[int, ...]:
    """The frames nearest to the middle of the piece that are within reach, or all of them if none is."""
    near = frames[(frames >= start - grain.reach) & (frames < end + grain.reach)]
    frames = near if len(near) else frames
    distance = np.abs(frames - (start + end - 1) / 2)
    chosen = frames[np.argsort(distance, kind="stable")[: max(grain.embedded, end - start)]]
    return tuple(np.sort(chosen).tolist())
