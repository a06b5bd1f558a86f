"""Read the rules that Prometheus uses too: `deploy/prometheus/rules.yaml`, as the package has it."""

import re
from functools import cache
from importlib.resources import files

import msgspec

from ingest_service.alerts.promql import Expression, ExpressionError, parse_expression, selectors_of
from shared.telemetry.samples import KEPT, PROCESSOR_JOB

DURATION = re.compile(r"(\d+)([smhd])")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
UP = "up"


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """An alert of the file. `for_s`: how long its condition must hold before it fires."""

    name: str
    severity: str
    summary: str  # a template
    runbook: str
    for_s: float
    expression: Expression


class NotEvaluated(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that only a Prometheus can evaluate, and the reason."""

    name: str
    reason: str


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """All alerts of the file."""

    rules: tuple[Rule, ...]
    not_evaluated: tuple[NotEvaluated, ...]


class _Alert(msgspec.Struct, frozen=True, kw_only=True):
    alert: str
    expr: str
    for_: str = msgspec.field(name="for", default="0s")
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class _Group(msgspec.Struct, frozen=True):
    rules: tuple[_Alert, ...]


class _RulesFile(msgspec.Struct, frozen=True):
    groups: tuple[_Group, ...]


@cache
def load_rules() -> Rules:
    """Return the rules of the installed package. The file is read once; the package `deploy` is only its folder."""
    return parse_rules((files("deploy") / "prometheus/rules.yaml").read_bytes())


def parse_rules(document: bytes) -> Rules:
    """Return the rules of a file. Raise msgspec.ValidationError if it is not one."""
    alerts = [alert for group in msgspec.yaml.decode(document, type=_RulesFile).groups for alert in group.rules]
    parsed = [_rule(alert) for alert in alerts]
    return Rules(
        rules=tuple(one for one in parsed if isinstance(one, Rule)),
        not_evaluated=tuple(one for one in parsed if isinstance(one, NotEvaluated)),
    )


def _rule(alert: _Alert) -> Rule | NotEvaluated:
    try:
        expression = parse_expression(alert.expr)
    except ExpressionError as error:
        return NotEvaluated(name=alert.alert, reason=f"The services cannot evaluate its expression: {error}")
    if reason := why_not_evaluated(expression):
        return NotEvaluated(name=alert.alert, reason=reason)
    return Rule(
        name=alert.alert,
        severity=alert.labels.get("severity", ""),
        summary=alert.annotations.get("summary", ""),
        runbook=alert.annotations.get("runbook", ""),
        for_s=duration_s(alert.for_),
        expression=expression,
    )


def why_not_evaluated(expression: Expression) -> str:
    """Return which series of an expression the services do not keep; empty if they keep all.

    A processor that keeps samples is up. An ingest cannot report that no ingest answers.
    """
    for selector in selectors_of(expression):
        if selector.name == UP:
            if ("job", "=", PROCESSOR_JOB) not in {(one.label, one.operator, one.value) for one in selector.matchers}:
                return "Only a monitor outside of the service notices that no ingest answers, such as Prometheus."
        elif selector.name not in KEPT:
            return f"The services keep no samples of `{selector.name}`."
    return ""


def duration_s(text: str) -> float:
    """Return the seconds of a duration such as `1h30m`."""
    return float(sum(int(count) * SECONDS[unit] for count, unit in DURATION.findall(text)))
