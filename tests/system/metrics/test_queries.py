"""The dashboard and the alert rules use metrics that a running pair exposes."""

import pytest

from shared.telemetry.samples import KEPT
from tests.support.metrics.queries import RULES_TEST, dashboard, rules, series_of
from tests.support.metrics.scraped import Scraped

OF_PROMETHEUS = {"up"}
ROWS = ["Uploads and the ingest", "Queue", "Processors", "Failures", "Webhooks"]
OWN_LABELS = {"job", "instance"}  # added by Prometheus


def test_the_dashboard_has_the_expected_rows_and_no_overlapping_panels() -> None:
    panels = dashboard().panels
    assert [panel.title for panel in panels if panel.type == "row"] == ROWS
    assert len({panel.id for panel in panels}) == len(panels)
    cells = [
        (column, row)
        for panel in panels
        for column in range(panel.gridPos["x"], panel.gridPos["x"] + panel.gridPos["w"])
        for row in range(panel.gridPos["y"], panel.gridPos["y"] + panel.gridPos["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert all(column < 24 for column, _ in cells)
    assert all(panel.targets and panel.description for panel in panels if panel.type != "row")


def test_each_alert_has_a_severity_a_summary_and_a_runbook() -> None:
    found = rules()
    assert len({rule.alert for rule in found}) == len(found)
    for rule in found:
        assert rule.alert.startswith("Headrace")
        assert rule.labels.keys() == {"severity"}
        assert rule.labels["severity"] in {"page", "ticket"}
        assert rule.annotations.keys() == {"summary", "runbook"}
        assert "\n" not in rule.annotations["runbook"].strip()
        assert len(rule.annotations["runbook"]) > 60


def test_each_alert_fires_in_a_case() -> None:
    cases = RULES_TEST.read_text()
    assert [rule.alert for rule in rules() if f'alertname="{rule.alert}"' not in cases] == []


def test_the_selected_series_of_a_query() -> None:
    query = 'max by (a) (x{b="c",d!="e"}) / on () sum(rate(y_total[5m])) > 1 unless absent(up{job="z"} == 1)'
    selected = {("x", frozenset({("b", "c")})), ("y_total", frozenset()), ("up", frozenset({("job", "z")}))}
    assert series_of(query) == selected
    with pytest.raises(ValueError, match="parenthesis"):
        series_of("sum(rate(")


def test_every_metric_that_is_kept_for_alerts_is_exposed(ingest: Scraped, processor: Scraped) -> None:
    assert ingest.names | processor.names >= KEPT


def test_every_series_that_a_query_selects_is_exposed(ingest: Scraped, processor: Scraped) -> None:
    exposed = [*ingest.samples, *processor.samples]
    for query in [*dashboard().queries, *(rule.expr for rule in rules())]:
        selected = series_of(query)
        assert selected
        for name, labels in selected:
            if name in OF_PROMETHEUS:
                continue
            wanted = {label for label in labels if label[0] not in OWN_LABELS}
            assert any(other == name and wanted <= set(has) for other, has in exposed), (query, name, labels)
