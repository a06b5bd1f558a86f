"""The ingest's metrics. `/metrics` shows them, summed over processes. Names never change: dashboards use them."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ingest_service.problem_types import PROBLEM_TYPES
from shared.telemetry.metric_registry import MetricRegistry
from shared.telemetry.process_gauges import LAG_SECONDS, LAG_TEXT, PoolGauges

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)

METRIC_REGISTRY = MetricRegistry()

UPLOADS_ACCEPTED = METRIC_REGISTRY.counter("headrace_ingest_uploads_accepted_total", "Uploads that became a job.")
UPLOADS_REFUSED = METRIC_REGISTRY.counters_by(
    ("code", PROBLEM_TYPES), "headrace_ingest_uploads_refused_total", "Refused uploads, by problem code."
)
UPLOADS_OPEN = METRIC_REGISTRY.gauge("headrace_ingest_uploads_open", "Uploads in progress.")
RECEIVED_BYTES = METRIC_REGISTRY.counter(
    "headrace_ingest_received_bytes_total", "Bytes of request bodies read, including refused requests."
)
UPLOAD_SECONDS = METRIC_REGISTRY.histogram(
    "headrace_ingest_upload_seconds", "Duration of an accepted upload, from its head to its answer.", SECONDS
)
UPLOAD_STEP_SECONDS = METRIC_REGISTRY.histograms_by(
    ("step", ("receive", "store", "commit")),
    "headrace_ingest_upload_step_seconds",
    "Duration of the steps of an accepted upload: receive, store, commit.",
    SECONDS,
)
COMMIT_BATCH = METRIC_REGISTRY.histogram("headrace_ingest_commit_batch_size", "Uploads in one commit.", BATCHES)
BELL_FAILURES = METRIC_REGISTRY.counter(
    "headrace_ingest_bell_failures_total", "Failed dispatches to Redis. Reconcile enqueues their tasks later."
)
DATABASE_OUTAGES = METRIC_REGISTRY.counter(
    "headrace_ingest_database_outages_total", "Requests that failed because the database was unavailable."
)
REPLICA_READS = METRIC_REGISTRY.counters_by(
    ("server", ("replica", "primary")),
    "headrace_ingest_replica_reads_total",
    "Reads of clients while a replica is set, by the server that answered.",
)
EVENT_LISTENERS = METRIC_REGISTRY.gauge("headrace_ingest_event_listeners", "Open event streams and waiting requests.")
EVENT_QUERIES = METRIC_REGISTRY.counter(
    "headrace_ingest_event_queries_total", "Queries for event streams and waiting requests. Each query reads many jobs."
)
ANSWERS_ABORTED = METRIC_REGISTRY.counter(
    "headrace_ingest_answers_aborted_total", "Connections closed because their clients read a large answer too slowly."
)
POOL = PoolGauges(METRIC_REGISTRY, "headrace_ingest")
LOOP_LAG = METRIC_REGISTRY.histogram("headrace_ingest_event_loop_lag_seconds", LAG_TEXT, LAG_SECONDS)


@contextmanager
def metrics_folder(chosen: str) -> Iterator[str]:
    """Yield the folder in which several processes add up their metrics: `chosen`, or a temporary folder."""
    if chosen:
        yield chosen
        return
    in_memory = Path("/dev/shm")  # noqa: S108 - a private folder is made in it
    with tempfile.TemporaryDirectory(
        prefix="headrace-metrics-", dir=in_memory if in_memory.is_dir() else None
    ) as folder:
        yield folder
