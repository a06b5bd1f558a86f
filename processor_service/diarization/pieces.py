"""Divide a window of the segmentation net into pieces of one voice each, in frames of that window. Pure."""

from collections.abc import Iterator
from itertools import pairwise

import msgspec
import numpy as np
import numpy.typing as npt

from processor_service.diarization.segmentation_net import FRAME_S, LOCAL_SPEAKERS

MAX_FRAMES = round(1.5 / FRAME_S)  # short, so that two voices that the net took for one can be separated
EMBEDDED_FRAMES = round(1.5 / FRAME_S)  # for one embedding; fewer are unreliable

Frames = npt.NDArray[np.intp]
WindowActivity = npt.NDArray[np.bool_]  # (frames, local speakers)


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """A span with speech of one local speaker, and the frames near it that are embedded."""

    start: int
    end: int
    local_speaker: int
    is_alone: bool
    embedded: tuple[int, ...]


def cut_pieces(activity: WindowActivity, start: int, end: int) -> Iterator[Piece]:
    """The pieces between two frames of a window. A piece ends where any speaker starts or ends, or at MAX_FRAMES."""
    is_alone = activity.sum(axis=1) == 1
    for speaker in range(LOCAL_SPEAKERS):
        distinct = distinct_frames(activity, speaker)
        for first, last in _runs(activity[start:end], speaker):
            piece = (start + first, start + last)
            yield Piece(
                start=piece[0],
                end=piece[1],
                local_speaker=speaker,
                is_alone=bool(is_alone[piece[0]]),
                embedded=_nearest(distinct, *piece),
            )


def distinct_frames(activity: WindowActivity, speaker: int) -> Frames:
    """The frames in which a local speaker speaks alone, or all of the speaker's frames if there are none."""
    active = activity[:, speaker]
    alone = np.flatnonzero(active & (activity.sum(axis=1) == 1))
    return alone if len(alone) else np.flatnonzero(active)


def _runs(activity: WindowActivity, speaker: int) -> Iterator[tuple[int, int]]:
    """The spans in which the speaker is active and the set of speakers is constant, cut to about equal lengths."""
    changes = np.flatnonzero((activity[1:] != activity[:-1]).any(axis=1)) + 1
    edges = [0, *changes.tolist(), len(activity)]
    for first, last in pairwise(edges):
        if last > first and activity[first, speaker]:
            parts = -(-(last - first) // MAX_FRAMES)
            cuts = np.linspace(first, last, parts + 1).round().astype(int).tolist()
            yield from pairwise(cuts)


def _nearest(frames: Frames, start: int, end: int) -> tuple[int, ...]:
    """The frames nearest to the middle of the piece: EMBEDDED_FRAMES, or the length of the piece if it is longer."""
    distance = np.abs(frames - (start + end - 1) / 2)
    chosen = frames[np.argsort(distance, kind="stable")[: max(EMBEDDED_FRAMES, end - start)]]
    return tuple(np.sort(chosen).tolist())
