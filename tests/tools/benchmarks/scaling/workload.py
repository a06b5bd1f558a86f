"""The arrivals of a simulation: jobs of known lengths at random times."""

import math
import random
from collections.abc import Callable, Iterator

import msgspec

DAY_S = 24 * 3600.0


class SimulatedJob(msgspec.Struct, frozen=True, kw_only=True):
    """One upload; times are slot seconds. `cost_s`: the seconds of audio charged to the tenant.

    With one chunk, `prepare_s` is the time before it and `finish_s` the time after it, under one lease.
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
        """The slot seconds without faults."""
        return self.prepare_s + sum(self.chunks_s) + self.finish_s


Shape = Callable[[int, float], SimulatedJob]  # makes the job of a number and an arrival time


def poisson(
    shape: Shape, *, per_s: Callable[[float], float], max_per_s: float, until_s: float, seed: int
) -> Iterator[SimulatedJob]:
    """Yield arrivals of a varying rate: rng at the highest rate, thinned to the current one."""
    rng = random.Random(seed)
    at_s, number = 0.0, 0
    while (at_s := at_s + rng.expovariate(max_per_s)) < until_s:
        if rng.random() * max_per_s <= per_s(at_s):
            yield shape(number, at_s)
            number += 1


def by_day(mean: float, swing: float) -> Callable[[float], float]:
    """Return a rate that varies around its mean once a day: lowest at 0 h, highest at 12 h."""
    return lambda at_s: mean * (1 - swing * math.cos(2 * math.pi * at_s / DAY_S))
