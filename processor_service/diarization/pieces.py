"""Cuts what the segmentation net heard in a window into pieces of one voice each, in frames of that window. Pure."""

from collections.abc import Iterator
from itertools import pairwise

import msgspec
import numpy as np
import numpy.typing as npt

from processor_service.diarization.segmentation_net import FRAME_S, LOCAL_SPEAKERS

LONGEST_FRAMES = round(1.5 / FRAME_S)  # short enough that two voices taken for one come apart again
LISTEN_FRAMES = round(1.5 / FRAME_S)  # what tells a voice; less is unreliable

Frames = npt.NDArray[np.intp]
WindowActivity = npt.NDArray[np.bool_]  # (frames, local speakers)


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch in which one local speaker is heard, and the frames near it that tell his voice."""

    start: int
    end: int
    local_speaker: int
    is_alone: bool
    listen: tuple[int, ...]


def cut_pieces(activity: WindowActivity, start: int, end: int) -> Iterator[Piece]:
    """The pieces between two frames of a window. One breaks where anybody begins or ends to speak, or gets too long."""
    is_alone = activity.sum(axis=1) == 1
    for speaker in range(LOCAL_SPEAKERS):
        telling = telling_frames(activity, speaker)
        for first, last in _runs(activity[start:end], speaker):
            piece = (start + first, start + last)
            yield Piece(
                start=piece[0],
                end=piece[1],
                local_speaker=speaker,
                is_alone=bool(is_alone[piece[0]]),
                listen=_nearest(telling, *piece),
            )


def telling_frames(activity: WindowActivity, speaker: int) -> Frames:
    """Where a local speaker is heard alone; where he never is, wherever he is heard."""
    heard = activity[:, speaker]
    alone = np.flatnonzero(heard & (activity.sum(axis=1) == 1))
    return alone if len(alone) else np.flatnonzero(heard)


def _runs(activity: WindowActivity, speaker: int) -> Iterator[tuple[int, int]]:
    """Where the speaker is heard and the company does not change, in parts of about the same length."""
    changes = np.flatnonzero((activity[1:] != activity[:-1]).any(axis=1)) + 1
    edges = [0, *changes.tolist(), len(activity)]
    for first, last in pairwise(edges):
        if last > first and activity[first, speaker]:
            parts = -(-(last - first) // LONGEST_FRAMES)
            cuts = np.linspace(first, last, parts + 1).round().astype(int).tolist()
            yield from pairwise(cuts)


def _nearest(frames: Frames, start: int, end: int) -> tuple[int, ...]:
    """So many frames as are listened to, those nearest to the piece's middle."""
    distance = np.abs(frames - (start + end - 1) / 2)
    chosen = frames[np.argsort(distance, kind="stable")[: max(LISTEN_FRAMES, end - start)]]
    return tuple(np.sort(chosen).tolist())
