"""The metrics of both services after a completed job, a failed job and a rejected upload."""

import re
from typing import Any

from ingest_service.problem_types import PROBLEM_TYPES
from tests.support.ingest.serving import until
from tests.support.metrics.pair import Pair
from tests.support.metrics.scraped import Scraped

NAME = re.compile(r"headrace_(ingest|processor|record|backlog|dead_letters)_[a-z_]+")
UNITS = ("_seconds", "_bytes", "_ratio", "_size")
COUNTED = ("_total", "_count", "_sum", "_bucket")
MAX_VALUES = len(PROBLEM_TYPES)  # per label: the longest fixed list; more would be identifiers
IDENTIFYING = {"job", "job_id", "task", "task_id", "tenant", "instance", "host", "url", "key", "pid"}


def test_names_and_types_follow_prometheus_conventions(ingest: Scraped, processor: Scraped) -> None:
    for scraped in (ingest, processor):
        for family in scraped.families:
            assert NAME.fullmatch(family.name)
            assert family.documentation
            assert family.type in {"counter", "gauge", "histogram"}
            assert family.type != "counter" or all(sample.name.endswith("_total") for sample in family.samples)
            assert family.type != "histogram" or family.name.endswith(UNITS)


def test_labels_are_few_and_identify_no_tenant_or_job(ingest: Scraped, processor: Scraped) -> None:
    for scraped in (ingest, processor):
        names = {name for _, labels in scraped.samples for name, _ in labels}
        assert not names & IDENTIFYING
        assert all(len(scraped.values(name)) <= MAX_VALUES for name in names)


def test_the_job_is_counted_with_all_its_stages(processor: Scraped) -> None:
    for stage, engine in (("decode", "builtin"), ("transcribe", "scripted"), ("denoise", "noisereduce")):
        one = {"stage": stage, "engine": engine}
        assert processor.get("headrace_processor_stage_speed_ratio_count", **one) == 1
        assert processor.get("headrace_processor_stage_audio_seconds_total", **one) == 10
        busy_s = processor.get("headrace_processor_stage_busy_seconds_total", **one)
        assert processor.get("headrace_processor_stage_speed_ratio_sum", **one) * busy_s > 9.9
    assert processor.get("headrace_processor_attempts_total", kind="prepare", outcome="done") == 1


def test_the_failure_is_counted_by_its_code(processor: Scraped) -> None:
    assert processor.get("headrace_processor_attempts_total", kind="prepare", outcome="failed") == 1
    assert processor.get("headrace_processor_failures_total", code="undecodable_audio") == 1
    assert processor.get("headrace_processor_dead_letters_total", kind="prepare") == 1


def test_both_webhooks_are_counted_with_their_lag(processor: Scraped) -> None:
    assert processor.get("headrace_processor_webhook_attempts_total", result="delivered") == 2
    assert processor.get("headrace_processor_webhook_lag_seconds_count") == 2
    assert processor.get("headrace_processor_webhook_attempt_seconds_count") == 2
    lag_s = processor.get("headrace_processor_webhook_lag_seconds_sum")
    assert lag_s >= processor.get("headrace_processor_webhook_attempt_seconds_sum")


def test_a_processor_exposes_its_own_state(processor: Scraped) -> None:
    assert processor.get("headrace_processor_slots", state="idle") == 1
    assert processor.get("headrace_processor_slots", state="used") == 0
    assert processor.get("headrace_processor_tasks_running", kind="prepare") == 0
    assert processor.get("headrace_processor_compute_children") == 1
    now, peak = "headrace_processor_compute_children_resident_bytes", "compute_child_resident_peak_bytes"
    assert 10_000_000 < processor.get(now) <= processor.get(f"headrace_processor_{peak}")
    assert processor.get("headrace_processor_poll_age_seconds") >= 0


def test_both_expose_loop_lag_and_connections(ingest: Scraped, processor: Scraped) -> None:
    for scraped, prefix in ((ingest, "headrace_ingest"), (processor, "headrace_processor")):
        assert scraped.get(f"{prefix}_event_loop_lag_seconds_count") > 0
        states = [scraped.get(f"{prefix}_database_connections", state=state) for state in ("used", "idle")]
        assert 0 < sum(states) <= scraped.get(f"{prefix}_database_connections_max")


def test_both_expose_the_backlog(ingest: Scraped, processor: Scraped) -> None:
    for scraped in (ingest, processor):
        assert scraped.get("headrace_record_readable") == 1
        assert scraped.get("headrace_backlog_tasks", kind="prepare", state="running") == 0
        assert scraped.get("headrace_backlog_audio_seconds", kind="chunk", state="dispatched") == 0


async def test_the_samples_of_both_reach_the_queue_and_the_alerts(pair: Pair) -> None:
    async def answer(path: str) -> dict[str, Any]:
        async with pair.client.http.get(path) as response:
            body: dict[str, Any] = await response.json()
            assert response.status == 200, body
            return body

    async def is_sampled() -> bool:
        slots = (await answer("/v1/queue"))["slots"]
        uploads = (await answer("/v1/queue/history?hours=1"))["series"]["uploads"]
        return bool(slots and slots["total"] == 1 and any(value is not None for value in uploads))

    await until(is_sampled, timeout_s=90)
    assert (await answer("/v1/alerts"))["alerts"] == []
