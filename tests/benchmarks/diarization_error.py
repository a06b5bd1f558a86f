"""The diarization error rate: missed, false and confused speech over all speech, overlap counted, no collar.

Fiscus et al., "The Rich Transcription 2006 Spring Meeting Recognition Evaluation". Time goes in steps of 10 ms.
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
    """Shares of the time that people speak in the reference, each speaker counted."""

    missed: float
    false: float
    confused: float

    @property
    def rate(self) -> float:
        return self.missed + self.false + self.confused


def diarization_error(reference: Sequence[Turn], found: Sequence[Turn]) -> DiarizationError:
    """The error under the mapping of names that makes it least."""
    steps = round(max((turn.end for turn in (*reference, *found)), default=0) / STEP_S) + 1
    truth, guess = _activity(reference, steps), _activity(found, steps)
    rows, columns = linear_sum_assignment(-(truth @ guess.T))
    right = sum((truth[row] * guess[column] for row, column in zip(rows, columns, strict=True)), np.zeros(steps))
    wanted, heard = truth.sum(axis=0), guess.sum(axis=0)
    total = max(wanted.sum(), 1)
    return DiarizationError(
        missed=float(np.maximum(wanted - heard, 0).sum() / total),
        false=float(np.maximum(heard - wanted, 0).sum() / total),
        confused=float((np.minimum(wanted, heard) - right).sum() / total),
    )


def read_rttm(path: Path) -> tuple[Turn, ...]:
    """The turns of an RTTM file."""
    rows = [line.split() for line in path.read_text().splitlines() if line.startswith("SPEAKER")]
    return tuple(Turn(speaker=row[7], start=float(row[3]), end=float(row[3]) + float(row[4])) for row in rows)


def _activity(turns: Sequence[Turn], steps: int) -> npt.NDArray[np.float64]:
    """(speakers, steps): 1 where one speaks."""
    names = sorted({turn.speaker for turn in turns})
    activity = np.zeros((len(names), steps))
    for turn in turns:
        activity[names.index(turn.speaker), round(turn.start / STEP_S) : round(turn.end / STEP_S)] = 1
    return activity
