"""What a service keeps of its metrics every minute, for the alerts: the last hour and a half, in Redis.

A sample is the text of `/metrics`, without the series that no alert and no chart needs. Counters start again from 0
with their process, as for Prometheus.
"""

import re
import zlib
from collections.abc import Mapping

import msgspec

INGEST_JOB, PROCESSOR_JOB = "headrace-ingest", "headrace-processor"  # the names of deploy/prometheus/prometheus.yaml

EVERY_S = 60.0
KEPT_SAMPLES = 90  # the longest range of an alert and its `for` are an hour
KEPT_S = 2 * 3600  # of a service that has stopped
INSTANCES_KEY = "headrace:sampled-instances"  # a sorted set: the services, by the time of their last sample

# The metrics that are kept. A test compares them with the rules of deploy/prometheus/rules.yaml.
KEPT = frozenset(
    {
        "headrace_record_readable",
        "headrace_backlog_tasks",
        "headrace_backlog_audio_seconds",
        "headrace_backlog_oldest_task_age_seconds",
        "headrace_backlog_queue_tasks",
        "headrace_ingest_uploads_accepted_total",
        "headrace_ingest_uploads_refused_total",
        "headrace_ingest_upload_step_seconds_bucket",
        "headrace_ingest_bell_failures_total",
        "headrace_ingest_database_connections",
        "headrace_ingest_database_connections_max",
        "headrace_ingest_event_loop_lag_seconds_bucket",
        "headrace_processor_attempts_total",
        "headrace_processor_jobs_ended_total",
        "headrace_processor_dead_letters_total",
        "headrace_processor_disk_full",
        "headrace_processor_event_loop_lag_seconds_bucket",
        "headrace_processor_database_connections",
        "headrace_processor_database_connections_max",
        "headrace_processor_poll_age_seconds",
        "headrace_processor_slots",
        "headrace_processor_stage_audio_seconds_total",
        "headrace_processor_stage_busy_seconds_total",
        "headrace_processor_tasks_running",
        "headrace_processor_upkeep_dispatches_total",
        "headrace_processor_upkeep_failures_total",
        "headrace_processor_webhook_attempts_total",
    }
)
LINE = re.compile(r"^(\w+)(\{[^}]*\})? (\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """The values at a Unix time, by their series as `/metrics` writes it: `name{label="value"}`."""

    time_s: float
    values: Mapping[str, float]


def kept_values(text: str) -> dict[str, float]:
    """Return the values of a text of `/metrics` that are kept."""
    return {name + (labels or ""): float(value) for name, labels, value in LINE.findall(text) if name in KEPT}


def encode_sample(sample: Sample) -> bytes:
    """Return about 1 kB."""
    return zlib.compress(msgspec.msgpack.encode(sample))


def decode_sample(data: bytes) -> Sample | None:
    """Return the sample; None for what is none: another version may have written it."""
    try:
        return msgspec.msgpack.decode(zlib.decompress(data), type=Sample)
    except (zlib.error, msgspec.MsgspecError):
        return None


def name_and_labels(series: str) -> tuple[str, dict[str, str]]:
    """Divide `name{label="value"}`."""
    name, _, labels = series.partition("{")
    return name, dict(LABEL.findall(labels))


def samples_key(job: str, instance: str) -> str:
    """Return the key of a list of samples, oldest first."""
    return f"headrace:samples:{job}|{instance}"
