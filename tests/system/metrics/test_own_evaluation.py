"""Promtool computes what our own evaluation computes: values, labels, `for` and summaries, of random series."""

import math
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ingest_service.alerts.evaluate import evaluate
from ingest_service.alerts.firing import firing_alerts
from ingest_service.alerts.promql import parse_expression
from ingest_service.alerts.rules import load_rules
from tests.support.metrics.prometheus_tools import program
from tests.support.metrics.queries import RULES, rules
from tests.support.metrics.rule_cases import Input, as_yaml, series_set

pytestmark = pytest.mark.process

MINUTES = 100
INSTANCES = ("one", "other")
# Of the parts of rules and of what else is supported. Times are between two samples: versions of Prometheus differ in
# whether a range includes its first moment.
AT_S = (1830.0, 3630.0, 5430.0)
BETWEEN_S = 30.0
QUEUES = "headrace_backlog_tasks"
EXPRESSIONS = (
    *(rule.expr for rule in rules()),
    "increase(headrace_processor_attempts_total[15m])",
    "rate(headrace_processor_attempts_total[5m])",
    "rate(headrace_processor_attempts_total[2m])",
    'sum by (kind) (increase(headrace_processor_attempts_total{outcome!~"done|failed"}[10m]))',
    "histogram_quantile(0.5, sum by (le) (rate(headrace_ingest_upload_step_seconds_bucket[5m])))",
    "histogram_quantile(0.99, rate(headrace_ingest_event_loop_lag_seconds_bucket[5m]))",
    f"max by (kind) ({QUEUES}) - min by (kind) ({QUEUES})",
    f"avg({QUEUES}) * count({QUEUES}) / 3 + 1",
    f"2 * sum by (instance) ({QUEUES}) >= 40",
    f"sum by (kind) ({QUEUES}) unless on (kind) sum by (kind) (rate(headrace_processor_attempts_total[5m])) > 0.5",
    f"{QUEUES} or headrace_processor_tasks_running",
    f"{QUEUES} > 20 and headrace_processor_tasks_running < 20",
    f"{QUEUES} / headrace_processor_tasks_running",
    f'absent({QUEUES}{{kind="none",state=~"a|b"}})',
    "absent(headrace_backlog_tasks > 1000000)",
)


def random_series(seed: int) -> list[Input]:
    """Counters that restart and pause, gauges, and histograms."""
    draw = random.Random(seed)
    found = []
    for instance in INSTANCES:
        its = f'instance="{instance}"'
        ingest, processor = f'job="headrace-ingest",{its}', f'job="headrace-processor",{its}'
        found += [
            Input(f"up{{{processor}}}", gauge(draw, (0, 1))),
            Input(f"headrace_record_readable{{{ingest}}}", gauge(draw, (0, 1))),
            Input(f"headrace_processor_poll_age_seconds{{{processor}}}", gauge(draw, (0.1, 50, 500))),
            Input(f'headrace_processor_disk_full{{{processor},disk="scratch"}}', gauge(draw, (0, 1))),
            Input(f"headrace_ingest_uploads_accepted_total{{{ingest}}}", counter(draw, 40)),
            Input(f"headrace_ingest_bell_failures_total{{{ingest}}}", counter(draw, 1)),
        ]
        for kind in ("prepare", "chunk", "deliver"):
            labels = f'{processor},kind="{kind}"'
            found += [
                Input(f'{QUEUES}{{{labels},state="dispatched"}}', gauge(draw, (0, 7, 30))),
                Input(f'headrace_processor_tasks_running{{{labels},state="dispatched"}}', gauge(draw, (0, 2, 30))),
                Input(
                    f'headrace_backlog_oldest_task_age_seconds{{{labels},state="dispatched"}}',
                    gauge(draw, (0, 700, 4000)),
                ),
            ]
            found += [
                Input(f'headrace_processor_attempts_total{{{labels},outcome="{outcome}"}}', counter(draw, most))
                for outcome, most in (("done", 20), ("failed", 3), ("crashed", 2))
            ]
            found.append(Input(f"headrace_processor_dead_letters_total{{{labels}}}", counter(draw, 3)))
        found += [
            Input(f'headrace_ingest_uploads_refused_total{{{ingest},code="{code}"}}', counter(draw, 2))
            for code in ("internal", "storage_full", "too_large")
        ]
        found += [
            Input(f'headrace_processor_webhook_attempts_total{{{processor},result="{result}"}}', counter(draw, 9))
            for result in ("delivered", "refused", "no_answer")
        ]
        found += [
            Input(f'headrace_processor_upkeep_{what}_total{{{processor},upkeep="{upkeep}"}}', counter(draw, 1))
            for what in ("dispatches", "failures")
            for upkeep in ("rescue", "wake")
        ]
        for engine in ("openai-whisper", "remote"):
            labels = f'{processor},stage="transcribe",engine="{engine}"'
            found.append(Input(f"headrace_processor_stage_audio_seconds_total{{{labels}}}", counter(draw, 60)))
            found.append(Input(f"headrace_processor_stage_busy_seconds_total{{{labels}}}", counter(draw, 60)))
        for service, labels in (("ingest", ingest), ("processor", processor)):
            found.append(
                Input(f'headrace_{service}_database_connections{{{labels},state="used"}}', gauge(draw, (2, 9)))
            )
            found.append(Input(f"headrace_{service}_database_connections_max{{{labels}}}", gauge(draw, (9,))))
            found += histogram(draw, f"headrace_{service}_event_loop_lag_seconds_bucket", labels)
        found += histogram(draw, "headrace_ingest_upload_step_seconds_bucket", f'{ingest},step="commit"')
    return found


def gauge(draw: random.Random, values: tuple[float, ...]) -> str:
    """A value that stays for a while."""
    words: list[str] = []
    while len(words) < MINUTES:
        words += [f"{draw.choice(values):g}"] * draw.randint(1, 40)
    return " ".join(words[:MINUTES])


def counter(draw: random.Random, most: int) -> str:
    """A counter with pauses, missing samples and a restart."""
    value, words = 0, []
    restart = draw.randrange(MINUTES)
    busy = True
    for minute in range(MINUTES):
        busy = busy != (draw.random() < 0.05)
        value = 0 if minute == restart else value + (draw.randint(0, most) if busy else 0)
        words.append("_" if 0 < minute < MINUTES - 1 and draw.random() < 0.04 else str(value))
    return " ".join(words)


def histogram(draw: random.Random, name: str, labels: str) -> list[Input]:
    """Cumulative buckets, without missing samples."""
    bounds = ("0.01", "0.1", "1.0", "2.5", "+Inf")
    counts = dict.fromkeys(bounds, 0)
    words: dict[str, list[str]] = {bound: [] for bound in bounds}
    for _ in range(MINUTES):
        first = draw.randrange(len(bounds))
        for bound in bounds[first:]:
            counts[bound] += draw.randint(0, 5) if bound == bounds[first] else 6
        for bound in bounds:
            counts[bound] = max(counts[one] for one in bounds[: bounds.index(bound) + 1])
            words[bound].append(str(counts[bound]))
    return [Input(f'{name}{{{labels},le="{bound}"}}', " ".join(words[bound])) for bound in bounds]


def text_of(labels: Any) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels) + "}"


PER_UNIT = 1 / 1e-6


def rounded(value: float) -> float:
    """As `round(…, 1e-6)` of Prometheus. Promtool compares exactly, and the last bits depend on the order of sums."""
    return math.floor(value * PER_UNIT + 0.5) / PER_UNIT


@pytest.mark.parametrize("seed", range(3))
def test_promtool_computes_the_same(seed: int, tmp_path: Path) -> None:
    inputs = random_series(seed)
    series = series_set(inputs, 60.0)
    values, alerts, fired = [], [], set()
    for at_s in AT_S:
        for expression in EXPRESSIONS:
            found = evaluate(parse_expression(expression), series, at_s)
            samples = [
                {"labels": text_of(labels), "value": rounded(value)}
                for labels, value in found.items()
                if math.isfinite(value)
            ]
            if len(samples) == len(found):  # promtool has no notation for NaN
                values.append(
                    {"expr": f"round({expression}, 1e-6)", "eval_time": f"{at_s:.0f}s", "exp_samples": samples}
                )
        firing = firing_alerts(load_rules(), series, at_s)
        fired |= {one.rule.name for one in firing}
        for rule in load_rules().rules:
            expected = [
                {
                    "exp_labels": {"severity": rule.severity, **dict(one.labels)},
                    "exp_annotations": {"summary": one.summary, "runbook": rule.runbook},
                }
                for one in firing
                if one.rule.name == rule.name
            ]
            alerts.append({"eval_time": f"{at_s:.0f}s", "alertname": rule.name, "exp_alerts": expected})
    assert len(values) > 2 * len(EXPRESSIONS)
    assert len(fired) > 2
    document = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "30s",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": one.series, "values": one.values} for one in inputs],
                "promql_expr_test": values,
                "alert_rule_test": alerts,
            }
        ],
    }
    (tmp_path / "random.yaml").write_bytes(as_yaml(document))
    result = subprocess.run(
        [program("promtool"), "test", "rules", "random.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
