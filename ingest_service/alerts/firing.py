"""Which alerts fire at a time: those whose condition has held for their `for` duration. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

import msgspec

from ingest_service.alerts.evaluate import evaluate
from ingest_service.alerts.rules import Rule, Rules
from ingest_service.alerts.series import Labels, SeriesSet
from ingest_service.alerts.summary import fill_in

NOTHING: Mapping[tuple[str, Labels], float] = MappingProxyType({})
STEP_S = 60.0  # between two evaluations of the past: the interval of the samples


class Firing(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that fires. `since_s`: the Unix time since when its condition holds, as far as samples reach back."""

    rule: Rule
    labels: Labels
    since_s: float
    value: float

    @property
    def summary(self) -> str:
        return fill_in(self.rule.summary, self.labels, self.value)


Known = Mapping[tuple[str, Labels], float]  # since when the conditions of alerts hold, by their name and labels


def since_of(firing: Iterable[Firing]) -> Known:
    """Return what the next evaluation, at most STEP_S later, need not compute again."""
    return {(one.rule.name, one.labels): one.since_s for one in firing}


def firing_alerts(rules: Rules, series: SeriesSet, now_s: float, known: Known = NOTHING) -> list[Firing]:
    """Return what fires now, pages first, then the oldest first. `known`: what fired a moment ago."""
    firing = [one for rule in rules.rules for one in _of_rule(rule, series, now_s, known)]
    return sorted(firing, key=lambda one: (one.rule.severity != "page", one.since_s, one.rule.name))


def _of_rule(rule: Rule, series: SeriesSet, now_s: float, known: Known) -> Iterator[Firing]:
    now = evaluate(rule.expression, series, now_s)
    since_s = {labels: known[rule.name, labels] for labels in now if (rule.name, labels) in known}
    since_s |= _held_since(rule, series, now_s, frozenset(now) - since_s.keys())
    for labels, value in now.items():
        if now_s - since_s[labels] >= rule.for_s:
            yield Firing(rule=rule, labels=labels, since_s=since_s[labels], value=value)


def _held_since(rule: Rule, series: SeriesSet, now_s: float, holding: frozenset[Labels]) -> dict[Labels, float]:
    """Evaluate backwards until no condition holds or no samples are left."""
    since_s = dict.fromkeys(holding, now_s)
    time_s = now_s - STEP_S
    while holding and time_s >= series.first_s:
        holding &= evaluate(rule.expression, series, time_s).keys()
        since_s.update(dict.fromkeys(holding, time_s))
        time_s -= STEP_S
    return since_s
