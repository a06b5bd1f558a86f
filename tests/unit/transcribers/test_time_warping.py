"""The way is that of Whisper's own function, also where several ways are equally cheap."""

import numpy as np
import pytest
from whisper.timing import dtw_cpu

from processor_service.transcribers.time_warping import cheapest_way

RANDOM = np.random.default_rng(7)
SHAPES = [(1, 1), (1, 9), (9, 1), (4, 7), (7, 4), (40, 300)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("levels", [0, 1, 3], ids=["different", "equal", "ties"])
def test_the_way_is_whispers(shape: tuple[int, int], levels: int) -> None:
    costs = RANDOM.integers(0, levels, shape).astype(np.float32) if levels else RANDOM.normal(size=shape)
    tokens, frames = cheapest_way(costs)
    expected = dtw_cpu.py_func(costs.astype(np.float64))
    assert np.array_equal(np.stack([tokens, frames]), expected)


def test_the_way_follows_the_diagonal_of_cheap_cells() -> None:
    tokens, frames = cheapest_way(1.0 - np.repeat(np.eye(3), 2, axis=1))
    assert tokens.tolist() == [0, 0, 1, 1, 2, 2]
    assert frames.tolist() == [0, 1, 2, 3, 4, 5]
