"""Measures floating point samples: some programs store 16-bit numbers in them, or mix far beyond full scale."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from processor_service.audio.source import Block

# Clicks do not count: so many samples, and this share of all, may be louder than the level.
CLICK_SAMPLES = 3
CLICK_SHARE = 1e-5
EXPONENTS = 300  # of float32: -148 to 128
LOWEST_EXPONENT = -150


def full_scale(blocks: Iterator[Block]) -> float:
    """The level of the recording that becomes full scale: its peak without clicks, at least 1."""
    counts = np.zeros(EXPONENTS, np.int64)
    peak = 0.0
    for block in blocks:
        levels = np.abs(np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0))
        peak = max(peak, float(levels.max(initial=0.0)))
        counts += np.bincount(np.frexp(levels)[1].ravel() - LOWEST_EXPONENT, minlength=EXPONENTS)
    return max(1.0, min(peak, _level(counts)))


def _level(counts: npt.NDArray[np.int64]) -> float:
    """The lowest power of two that only clicks exceed. `counts` are the samples by exponent."""
    clicks = max(CLICK_SAMPLES, int(CLICK_SHARE * counts.sum()))
    louder = np.cumsum(counts[::-1])[::-1]
    exponent = LOWEST_EXPONENT + int(np.argmax(louder <= clicks)) - 1
    return float(np.ldexp(1.0, exponent))
