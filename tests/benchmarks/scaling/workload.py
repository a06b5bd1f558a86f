"""What arrives in a simulation: jobs of known lengths at drawn moments."""

import math
import random
from collections.abc import Callable, Iterator

import msgspec

DAY_S = 24 * 3600.0


class SimulatedJob(msgspec.Struct, frozen=True, kw_only=True):
    """One upload; times are of a slot. `cost_s` are the seconds of audio that it is charged.

    With one chunk, `prepare_s` is all before it and `finish_s` all behind it, under the one lease.
    """

    number: int
    at_s: float
    prepare_s: float
    chunks_s: tuple[float, ...]
    finish_s: float
    cost_s: int = 60
    tenant: str = "default"

    @property
    def slot_s(self) -> float:
        """What it keeps slots busy for, if nothing goes wrong."""
        return self.prepare_s + sum(self.chunks_s) + self.finish_s


Shape = Callable[[int, float], SimulatedJob]  # of the job of that number, at that moment


def poisson(
    shape: Shape, *, per_s: Callable[[float], float], most_per_s: float, until_s: float, seed: int
) -> Iterator[SimulatedJob]:
    """Arrivals of a rate that may change: drawn at the highest rate, thinned to the one of the moment."""
    drawn = random.Random(seed)
    at_s, number = 0.0, 0
    while (at_s := at_s + drawn.expovariate(most_per_s)) < until_s:
        if drawn.random() * most_per_s <= per_s(at_s):
            yield shape(number, at_s)
            number += 1


def by_day(mean: float, swing: float) -> Callable[[float], float]:
    """A rate that swings around its mean once a day: lowest at 0 h, highest at 12 h."""
    return lambda at_s: mean * (1 - swing * math.cos(2 * math.pi * at_s / DAY_S))
