"""Series of samples in memory, and how much a counter grew, as Prometheus computes them. Pure."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise

from ingest_service.alerts.promql import Matcher, Selector

LOOKBACK_S = 300.0  # a sample counts as the current one for this time

Labels = tuple[tuple[str, str], ...]  # sorted by name, without the metric's name
Vector = dict[Labels, float]


class Series:
    """Samples of one series, by time: Unix times in seconds. An alert asks for many times, so sums are kept."""

    __slots__ = ("_grown", "labels", "times", "values")

    def __init__(self, labels: Labels, times: Sequence[float], values: Sequence[float]) -> None:
        self.labels = labels
        self.times = times
        self.values = values
        self._grown: list[float] = []  # since the first sample, up to each; computed when it is first needed

    def at(self, time_s: float) -> float | None:
        """Return the value at a time: the last one, at most LOOKBACK_S old."""
        last = bisect_right(self.times, time_s) - 1
        return self.values[last] if last >= 0 and self.times[last] > time_s - LOOKBACK_S else None

    def increase(self, time_s: float, range_s: float) -> float | None:
        """Return how much the counter grew in the range before a time; None with fewer than two samples.

        As Prometheus: a smaller value is a restart from 0, and the growth is extrapolated to the ends of the range,
        unless the samples begin or end too far from them.
        """
        first, after = bisect_right(self.times, time_s - range_s), bisect_right(self.times, time_s)
        if after - first < 2:
            return None
        self._grown = self._grown or growth(self.values)
        grown = self._grown[after - 1] - self._grown[first]
        if not grown:
            return 0.0
        since_s, until_s = self.times[first], self.times[after - 1]
        sampled_s = until_s - since_s
        average_s = sampled_s / (after - first - 1)
        before_s = _reach_s(since_s - (time_s - range_s), average_s)
        if self.values[first] >= 0:  # a counter is never below 0
            before_s = min(before_s, sampled_s * self.values[first] / grown)
        return grown * (sampled_s + before_s + _reach_s(time_s - until_s, average_s)) / sampled_s


def _reach_s(distance_s: float, average_s: float) -> float:
    """Return how far growth is extrapolated to an end of the range: all of it, if no sample is missing there."""
    return distance_s if distance_s < average_s * 1.1 else average_s / 2


def growth(values: Sequence[float]) -> list[float]:
    """Return how much a counter has grown up to each value. A smaller value is a restart from 0."""
    steps = (now - before if now >= before else now for before, now in pairwise(values))
    return list(accumulate(steps, initial=0.0))


class SeriesSet:
    """All series, by the metric's name."""

    def __init__(self, series: Iterable[tuple[str, Series]]) -> None:
        self._by_name: dict[str, list[Series]] = {}
        self._selected: dict[Selector, list[Series]] = {}
        for name, one in series:
            self._by_name.setdefault(name, []).append(one)
        starts = [one.times[0] for of_name in self._by_name.values() for one in of_name if one.times]
        self.first_s = min(starts, default=float("inf"))

    def select(self, selector: Selector) -> list[Series]:
        """Return the series that a selector names."""
        if selector not in self._selected:
            named = self._by_name.get(selector.name, [])
            self._selected[selector] = [
                one for one in named if all(_matches(matcher, one.labels) for matcher in selector.matchers)
            ]
        return self._selected[selector]


def _matches(matcher: Matcher, labels: Labels) -> bool:
    at = bisect_left(labels, (matcher.label, ""))
    value = labels[at][1] if at < len(labels) and labels[at][0] == matcher.label else ""
    is_equal = bool(_expression(matcher.value).fullmatch(value)) if "~" in matcher.operator else value == matcher.value
    return is_equal != matcher.operator.startswith("!")


@lru_cache(maxsize=256)
def _expression(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.DOTALL)
