"""Dynamic time warping: the cheapest way through the costs of each token at each frame, which gives words their times.

Whisper's own function finds the same way. It is compiled for parallel loops that it does not have: three seconds of CPU
in each process, and threads that wait for each other in every window.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

NEXT_BOTH, NEXT_TOKEN, NEXT_FRAME = 0, 1, 2  # the last step on the cheapest way to a cell


def cheapest_way(costs: npt.NDArray[np.floating]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the tokens and frames of the cells on the way, both in order. `costs` has shape (tokens, frames).

    Each step goes to the next token, the next frame, or both (Sakoe and Chiba, 1978, with equal weights).
    """
    sums = np.full((costs.shape[0] + 1, costs.shape[1] + 1), np.inf)
    sums[0, 0] = 0.0
    steps = np.empty(sums.shape, np.int8)
    steps[0, :], steps[:, 0] = NEXT_FRAME, NEXT_TOKEN
    compiled()(np.ascontiguousarray(costs, np.float64), sums, steps)
    return _back(steps)


def _back(steps: npt.NDArray[np.int8]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Follow the steps from the last cell to the first."""
    token, frame = steps.shape[0] - 1, steps.shape[1] - 1
    rows, way = steps.tolist(), []
    while token > 0 or frame > 0:
        way.append((token - 1, frame - 1))
        step = rows[token][frame]
        token -= step != NEXT_FRAME
        frame -= step != NEXT_TOKEN
    tokens, frames = np.array(way[::-1]).T
    return tokens, frames


@cache
def compiled() -> Callable[..., None]:
    """Return the inner loop as machine code. The first call takes most of a second."""
    import numba

    signature = "void(float64[:, ::1], float64[:, ::1], int8[:, ::1])"
    kernel: Callable[..., None] = numba.njit(signature)(_add_up)
    return kernel


def _add_up(costs: Any, sums: Any, steps: Any) -> None:
    """Fill in the sum of the costs on the cheapest way to each cell, and its last step. The borders are given."""
    for token in range(costs.shape[0]):
        for frame in range(costs.shape[1]):
            both, next_token, next_frame = sums[token, frame], sums[token, frame + 1], sums[token + 1, frame]
            least, step = next_frame, NEXT_FRAME
            if both < next_token and both < next_frame:
                least, step = both, NEXT_BOTH
            elif next_token < both and next_token < next_frame:
                least, step = next_token, NEXT_TOKEN
            sums[token + 1, frame + 1] = costs[token, frame] + least
            steps[token + 1, frame + 1] = step
