"""The cases of rules.test.yaml, as promtool reads them, and their series for our own evaluation."""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from ingest_service.alerts.rules import duration_s
from ingest_service.alerts.series import Series, SeriesSet
from shared.telemetry.samples import name_and_labels
from tests.support.metrics.queries import RULES_TEST

EXPANSION = re.compile(r"(?P<first>-?[\d.]+)(?:(?P<step>[+-][\d.]+))?(?:x(?P<times>\d+))?")


class Input(msgspec.Struct, frozen=True):
    series: str
    values: str


class Expected(msgspec.Struct, frozen=True):
    labels: str
    value: float

    @property
    def label_set(self) -> dict[str, str]:
        return name_and_labels(self.labels)[1]


class Expression(msgspec.Struct, frozen=True):
    expr: str
    eval_time: str
    exp_samples: tuple[Expected, ...]


class Case(msgspec.Struct, frozen=True):
    name: str
    interval: str
    input_series: tuple[Input, ...]
    promql_expr_test: tuple[Expression, ...]

    @property
    def series(self) -> SeriesSet:
        return series_set(self.input_series, duration_s(self.interval))


class CaseFile(msgspec.Struct, frozen=True):
    tests: tuple[Case, ...]


def cases() -> list[Case]:
    return list(msgspec.yaml.decode(RULES_TEST.read_bytes(), type=CaseFile).tests)


def series_set(inputs: Iterable[Input], interval_s: float) -> SeriesSet:
    found = []
    for one in inputs:
        name, labels = name_and_labels(one.series)
        samples = [(at * interval_s, value) for at, value in enumerate(expanded(one.values)) if value is not None]
        times, values = zip(*samples, strict=True)
        found.append((name, Series(tuple(sorted(labels.items())), times, values)))
    return SeriesSet(found)


def expanded(notation: str) -> list[float | None]:
    """Expand `1+2x3 _ 4`: `a+bxn` is a, then n steps of b; `_` is no sample."""
    values: list[float | None] = []
    for word in notation.split():
        if word == "_":
            values.append(None)
            continue
        found = EXPANSION.fullmatch(word)
        assert found, word
        first, step, times = float(found["first"]), float(found["step"] or 0), int(found["times"] or 0)
        values += [first + step * number for number in range(times + 1)]
    return values


def as_yaml(document: Any) -> bytes:
    return msgspec.json.encode(document)  # JSON is valid YAML
