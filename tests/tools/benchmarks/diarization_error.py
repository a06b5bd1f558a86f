"""The diarization error rate: missed, false and confused speech over all speech, with overlap and without a collar.

Fiscus et al., "The Rich Transcription 2006 Spring Meeting Recognition Evaluation". Time is in steps of 10 ms.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from shared.schemas.transcript import Turn

STEP_S = 0.01


class DiarizationError(NamedTuple):
    """Fractions of the speech in the reference, summed over speakers."""

    missed: float
    false: float
    confused: float

    @property
    def rate(self) -> float:
        return self.missed + self.false + self.confused


def diarization_error(reference: Sequence[Turn], found: Sequence[Turn]) -> DiarizationError:
    """The error with the mapping of names that minimises it."""
    steps = round(max((turn.end for turn in (*reference, *found)), default=0) / STEP_S) + 1
    truth, guess = _activity(reference, steps), _activity(found, steps)
    rows, columns = linear_sum_assignment(-(truth @ guess.T))
    right = sum((truth[row] * guess[column] for row, column in zip(rows, columns, strict=True)), np.zeros(steps))
    expected, active = truth.sum(axis=0), guess.sum(axis=0)
    total = max(expected.sum(), 1)
    return DiarizationError(
        missed=float(np.maximum(expected - active, 0).sum() / total),
        false=float(np.maximum(active - expected, 0).sum() / total),
        confused=float((np.minimum(expected, active) - right).sum() / total),
    )


def read_rttm(path: Path) -> tuple[Turn, ...]:
    """The turns of an RTTM file."""
    rows = [line.split() for line in path.read_text().splitlines() if line.startswith("SPEAKER")]
    return tuple(Turn(speaker=row[7], start=float(row[3]), end=float(row[3]) + float(row[4])) for row in rows)


def _activity(turns: Sequence[Turn], steps: int) -> npt.NDArray[np.float64]:
    """(speakers, steps): 1 where the speaker is active."""
    names = sorted({turn.speaker for turn in turns})
    activity = np.zeros((len(names), steps))
    for turn in turns:
        activity[names.index(turn.speaker), round(turn.start / STEP_S) : round(turn.end / STEP_S)] = 1
    return activity
