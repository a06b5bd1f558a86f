"""Metrics of what waits and what runs, from the database: one query, at most every few seconds.

Every process of both services reports the same numbers, so that they are there even without a processor. Take the
maximum over processes.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from shared.queue.dispatch import DEFAULT_QUEUE_NAME
from shared.schemas.states import TaskKind, TaskState
from shared.telemetry.expose_metrics import expose_metrics
from shared.telemetry.metric_registry import MetricRegistry

FRESH_S = 10.0  # how long an answer is reused
READ_TIMEOUT_S = 3.0  # so that a database that hangs does not delay a scrape
BYTES_A_SECOND = 16_000  # of audio that is not decoded yet, while there is no finished job to compare with: 128 kbit/s

WITHOUT_SLOT = (TaskKind.DELIVER, TaskKind.SUMMARIZE)
STATES = (TaskState.DISPATCHED, TaskState.RUNNING, TaskState.WAITING)

MOST_ROWS = 10_000  # of a state that are read, the next ones first; if there are more, each row counts for several

# One part for each partial index on the states. A chunk counts as its part of the file; a running task counts what is
# left. A task that was dispatched again after a failure waits since then, every other since it was created.
BACKLOG = f"""
WITH finished AS (
    SELECT duration_s, source_bytes FROM jobs
    WHERE erased_at IS NULL AND status = 'COMPLETED' AND completed_at IS NOT NULL AND duration_s > 0
    ORDER BY completed_at DESC LIMIT 200
), pace AS (
    SELECT coalesce(sum(duration_s) / nullif(sum(source_bytes), 0), 1.0 / {BYTES_A_SECOND}) AS audio_s_per_byte
    FROM finished
), dispatched AS (
    SELECT job_id, kind, state, CASE WHEN attempts + crashes = 0 THEN created_at ELSE dispatched_at END AS since
    FROM tasks WHERE state = 'dispatched' ORDER BY dispatched_at LIMIT {MOST_ROWS}
), waiting AS (
    SELECT job_id, kind, state, created_at AS since
    FROM tasks WHERE state = 'waiting' ORDER BY not_before LIMIT {MOST_ROWS}
), open AS (
    SELECT job_id, kind, state, since, 1.0 AS part_left,
           (SELECT count(*) FROM tasks WHERE state = 'dispatched') / (SELECT count(*) FROM dispatched)::float AS of_all
    FROM dispatched
    UNION ALL SELECT job_id, kind, state, started_at, 1.0 - progress, 1 FROM tasks WHERE state = 'running'
    UNION ALL
    SELECT job_id, kind, state, since, 1.0,
           (SELECT count(*) FROM tasks WHERE state = 'waiting') / (SELECT count(*) FROM waiting)::float
    FROM waiting
)
SELECT kind, state, queue, round(sum(of_all))::bigint AS tasks,
       greatest(extract(epoch FROM now() - min(since)), 0)::float AS oldest_s,
       coalesce(sum(of_all * part_left * CASE kind
           WHEN 'prepare' THEN coalesce(duration_s, source_bytes * audio_s_per_byte)
           WHEN 'chunk' THEN duration_s / greatest(chunk_count, 1) END), 0)::float AS audio_s
FROM open JOIN jobs ON jobs.id = open.job_id CROSS JOIN pace GROUP BY kind, state, queue
UNION ALL
SELECT kind, 'dead', NULL, count(*), 0, 0 FROM tasks WHERE state = 'dead' AND dismissed_at IS NULL GROUP BY kind
"""  # noqa: S608 - the only value is a constant of ours

Rows = Sequence[Mapping[str, Any]]


class BacklogReader:
    """`fetch` runs a query, and returns None while the database is unavailable."""

    def __init__(self, fetch: Callable[[str], Awaitable[Rows | None]]) -> None:
        self._fetch = fetch
        self._text = backlog_text(None)
        self._asked_at_s = float("-inf")

    async def text(self) -> str:
        """Return Prometheus' text, at most FRESH_S old."""
        now_s = time.monotonic()
        if now_s - self._asked_at_s > FRESH_S:
            self._asked_at_s = now_s  # before the query: concurrent scrapes get the last answer
            self._text = backlog_text(await self._read())
        return self._text

    async def _read(self) -> Rows | None:
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                return await self._fetch(BACKLOG)
        except TimeoutError:
            return None


def backlog_text(rows: Rows | None) -> str:
    """Return the text for the rows of BACKLOG. For None it only says that there is no answer: old numbers mislead."""
    board = MetricRegistry()
    board.gauge(
        "headrace_record_readable", "Whether the database answered the backlog query within seconds (1) or not (0)."
    ).set(rows is not None)
    if rows is not None:
        _set_backlog(board, rows)
    return expose_metrics(board.families, board.numbers)


def _set_backlog(board: MetricRegistry, rows: Rows) -> None:
    labels = ("kind", "state"), [(kind, state) for kind in TaskKind for state in STATES]
    tasks = board.gauges_by(
        labels,
        "headrace_backlog_tasks",
        "Tasks by state: dispatched (waiting for a worker), running, waiting (for the next attempt).",
    )
    audio = board.gauges_by(
        labels,
        "headrace_backlog_audio_seconds",
        "Audio of these tasks that is not processed yet. For a source that is not decoded yet it is guessed from its "
        "bytes, at the rate of the last finished jobs; for a source that is not downloaded yet it is 0.",
    )
    oldest = board.gauges_by(
        labels,
        "headrace_backlog_oldest_task_age_seconds",
        "How long the oldest of these tasks has waited or run; 0 without tasks.",
    )
    dead = board.gauges_by(
        ("kind", TaskKind), "headrace_dead_letters_open", "Dead letters that are neither redriven nor deleted."
    )
    for row in rows:
        if row["state"] == TaskState.DEAD:
            dead[row["kind"]].set(row["tasks"])
    for kind, state in labels[1]:
        of_both = [row for row in rows if (row["kind"], row["state"]) == (kind, state)]
        tasks[kind, state].set(sum(row["tasks"] for row in of_both))
        audio[kind, state].set(sum(row["audio_s"] for row in of_both))
        oldest[kind, state].set(max((row["oldest_s"] for row in of_both), default=0))
    _set_queues(board, [row for row in rows if row["kind"] not in WITHOUT_SLOT and row["state"] != TaskState.DEAD])


def _set_queues(board: MetricRegistry, rows: Rows) -> None:
    """Show the tasks that need a slot by the queue of their job. Of idle queues only `default` is shown."""
    queues = sorted({DEFAULT_QUEUE_NAME, *(row["queue"] for row in rows)})
    labels = ("queue", "state"), [(queue, state) for queue in queues for state in STATES]
    tasks = board.gauges_by(labels, "headrace_backlog_queue_tasks", "Tasks that need a slot, by queue and state.")
    audio = board.gauges_by(
        labels,
        "headrace_backlog_queue_audio_seconds",
        "Audio of these tasks that is not processed yet, as in headrace_backlog_audio_seconds.",
    )
    for queue, state in labels[1]:
        of_both = [row for row in rows if (row["queue"], row["state"]) == (queue, state)]
        tasks[queue, state].set(sum(row["tasks"] for row in of_both))
        audio[queue, state].set(sum(row["audio_s"] for row in of_both))
