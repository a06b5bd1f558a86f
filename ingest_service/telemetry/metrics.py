"""What the ingest counts, by name; whoever does the thing counts it. `/metrics` shows them, summed over processes.

A name is for good: dashboards and alerts stand on it.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ingest_service.middleware.problems import PROBLEMS
from shared.telemetry.count_board import Board
from shared.telemetry.process_gauges import LAG_SECONDS, LAG_TEXT, PoolGauges

# The folder in which the processes of one service count together: the one that was set, or a temporary one.


@contextmanager
def metrics_folder(chosen: str) -> Iterator[str]:
    """For whoever starts several processes: each gets the folder as `HEADRACE_METRICS_DIR`. Removed if it was ours."""
    if chosen:
        yield chosen
        return
    in_memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it, for us alone
    with tempfile.TemporaryDirectory(
        prefix="headrace-metrics-", dir=in_memory if in_memory.is_dir() else None
    ) as folder:
        yield folder


SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)

BOARD = Board()

UPLOADS_ACCEPTED = BOARD.counter("headrace_ingest_uploads_accepted_total", "Uploads that became a job.")
UPLOADS_REFUSED = BOARD.counters_by(
    ("code", PROBLEMS), "headrace_ingest_uploads_refused_total", "Uploads that did not, by problem code."
)
UPLOADS_OPEN = BOARD.gauge("headrace_ingest_uploads_open", "Uploads under way.")
RECEIVED_BYTES = BOARD.counter("headrace_ingest_received_bytes_total", "Bytes of bodies read, of refused ones too.")
UPLOAD_SECONDS = BOARD.histogram(
    "headrace_ingest_upload_seconds", "From the head of an accepted upload to its answer.", SECONDS
)
UPLOAD_STEP_SECONDS = BOARD.histograms_by(
    ("step", ("receive", "store", "commit")),
    "headrace_ingest_upload_step_seconds",
    "The same, by what was waited for: the client's bytes, storing them, the commit.",
    SECONDS,
)
COMMIT_BATCH = BOARD.histogram("headrace_ingest_commit_batch_size", "Uploads in one commit.", BATCHES)
BELL_FAILURES = BOARD.counter(
    "headrace_ingest_bell_failures_total", "Pushes to Redis that failed; the reconciler makes up for them."
)
DATABASE_OUTAGES = BOARD.counter(
    "headrace_ingest_database_outages_total", "Times that the database was needed and away."
)
EVENT_LISTENERS = BOARD.gauge("headrace_ingest_event_listeners", "Open streams of a job's events.")
EVENT_QUERIES = BOARD.counter(
    "headrace_ingest_event_queries_total", "Queries that serve them, each for all jobs that are watched."
)
POOL = PoolGauges(BOARD, "headrace_ingest")
LOOP_LAG = BOARD.histogram("headrace_ingest_event_loop_lag_seconds", LAG_TEXT, LAG_SECONDS)
