"""Our own evaluation of the alert rules agrees with the cases that promtool checks."""

from importlib.resources import files

import pytest

from ingest_service.alerts.firing import firing_alerts, since_of
from ingest_service.alerts.promql import ExpressionError, Selector, parse_expression, selectors_of
from ingest_service.alerts.rules import Rule, Rules, duration_s, load_rules, parse_rules
from ingest_service.alerts.series import Series, SeriesSet
from tests.support.metrics.queries import RULES, rules, series_of
from tests.support.metrics.rule_cases import Case, as_yaml, cases

HOUR_S = 3600.0


def all_rules() -> Rules:
    """All rules of the file, also those that the service lists as not evaluated."""
    parsed = [
        Rule(
            name=rule.alert,
            severity=rule.labels["severity"],
            summary=rule.annotations["summary"],
            runbook=rule.annotations["runbook"],
            for_s=duration_s(rule.for_),
            expression=parse_expression(rule.expr),
        )
        for rule in rules()
    ]
    return Rules(rules=tuple(parsed), not_evaluated=())


def test_the_package_has_the_file_of_prometheus() -> None:
    assert (files("deploy") / "prometheus/rules.yaml").read_bytes() == RULES.read_bytes()


def test_every_rule_is_evaluated_or_has_a_reason() -> None:
    loaded = load_rules()
    names = {one.name for one in loaded.rules} | {one.name for one in loaded.not_evaluated}
    assert names == {rule.alert for rule in rules()}
    assert [one.name for one in loaded.not_evaluated] == ["HeadraceIngestDown"]
    by_alert = {rule.alert: rule for rule in rules()}
    for one in loaded.rules:
        assert (
            one.for_s
            == {"0s": 0, "1m": 60, "2m": 120, "5m": 300, "10m": 600, "15m": 900, "30m": 1800}[by_alert[one.name].for_]
        )
        assert one.runbook == by_alert[one.name].annotations["runbook"]
        assert {"page", "ticket"} >= {one.severity}


def test_every_rule_selects_what_another_parser_finds() -> None:
    for rule in rules():
        ours = {
            (one.name, frozenset((matcher.label, matcher.value) for matcher in one.matchers if matcher.operator == "="))
            for one in selectors_of(parse_expression(rule.expr))
        }
        assert ours == series_of(rule.expr), rule.alert


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_the_cases_of_promtool(case: Case) -> None:
    series = case.series
    for expected in case.promql_expr_test:
        firing = firing_alerts(all_rules(), series, duration_s(expected.eval_time))
        found = {one.rule.name for one in firing}
        assert found == {one.label_set["alertname"] for one in expected.exp_samples}, expected.eval_time
        for sample in expected.exp_samples:
            labels = {name: value for name, value in sample.label_set.items() if name != "alertname"}
            matching = [one for one in firing if labels.items() <= dict(one.labels).items()]
            assert len(matching) == sample.value


def alert(expression: str, duration: str = "0s") -> Rules:
    rule = {"alert": "X", "expr": expression, "for": duration, "labels": {"severity": "page"}, "annotations": {}}
    return parse_rules(as_yaml({"groups": [{"name": "g", "rules": [rule]}]}))


KNOWN = "headrace_backlog_tasks"


def gauge(*values: float, **labels: str) -> tuple[str, Series]:
    return KNOWN, Series(tuple(sorted(labels.items())), [60.0 * at for at in range(len(values))], values)


def test_an_alert_fires_when_its_condition_has_held_for_its_duration() -> None:
    series = SeriesSet([gauge(0, 0, 1, 1, 1, 1)])
    rules_ = alert(f"{KNOWN} > 0", "3m")
    assert firing_alerts(rules_, series, 240.0) == []
    (firing,) = firing_alerts(rules_, series, 300.0)
    assert firing.since_s == 120.0


def test_a_condition_that_was_interrupted_begins_again() -> None:
    series = SeriesSet([gauge(1, 1, 1, 0, 1, 1)])
    assert firing_alerts(alert(f"{KNOWN} > 0", "3m"), series, 300.0) == []


def test_what_fired_a_moment_ago_is_not_computed_again() -> None:
    rules_ = alert(f"{KNOWN} > 0", "3m")
    (first,) = firing_alerts(rules_, SeriesSet([gauge(1, 1, 1, 1)]), 180.0)
    only_now = SeriesSet([(KNOWN, Series((), [200.0], [1.0]))])
    (second,) = firing_alerts(rules_, only_now, 200.0, since_of([first]))
    assert (first.since_s, second.since_s) == (0.0, 0.0)
    assert firing_alerts(rules_, only_now, 200.0) == []
    assert firing_alerts(rules_, SeriesSet([gauge(1, 1, 1, 0)]), 200.0, since_of([first])) == []


def test_each_label_set_has_its_own_duration() -> None:
    series = SeriesSet([gauge(1, 1, 1, 1, kind="a"), gauge(0, 0, 1, 1, kind="b")])
    firing = firing_alerts(alert(f"{KNOWN} > 0", "3m"), series, 180.0)
    assert [dict(one.labels) for one in firing] == [{"kind": "a"}]


def test_lost_samples_do_not_fire() -> None:
    rules_ = alert(f"absent({KNOWN})", "2m")
    assert firing_alerts(rules_, SeriesSet([]), HOUR_S) == []
    assert firing_alerts(rules_, SeriesSet([("headrace_record_readable", Series((), [HOUR_S], [1.0]))]), HOUR_S) == []


@pytest.mark.parametrize(
    "expression",
    [
        f"{KNOWN} offset 5m > 0",
        f"sum without (kind) ({KNOWN}) > 0",
        f"max_over_time({KNOWN}[5m]) > 0",
        f"rate({KNOWN}) > 0",
        f"{KNOWN} / on (kind) group_left (state) {KNOWN} > 0",
        f"sum({KNOWN} > 0",
        f'{KNOWN}{{kind="a}}',
        f"rate({KNOWN}[5m:1m]) > 0",
        "",
    ],
)
def test_other_expressions_are_not_evaluated_and_say_why(expression: str) -> None:
    with pytest.raises(ExpressionError):
        parse_expression(expression)
    (refused,) = alert(expression).not_evaluated
    assert refused.reason.startswith("The services cannot evaluate its expression: ")


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("node_load1 > 4", "The services keep no samples of `node_load1`."),
        ('up{job="headrace-ingest"} == 0', "Only a monitor outside of the service"),
        ("up == 0", "Only a monitor outside of the service"),
    ],
)
def test_series_that_are_not_kept_are_named(expression: str, reason: str) -> None:
    (refused,) = alert(expression).not_evaluated
    assert refused.reason.startswith(reason)


def test_operators_bind_as_in_prometheus() -> None:
    assert parse_expression("a or b and c") == parse_expression("a or (b and c)")
    assert parse_expression("a + b * c > d") == parse_expression("(a + (b * c)) > d")
    assert parse_expression("a / b / c") == parse_expression("(a / b) / c")
    assert parse_expression("a") == Selector("a")
