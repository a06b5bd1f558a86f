"""The backlog metrics from the database: tasks, audio and age by kind and state, and dead letters."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from shared.ids import new_id
from shared.telemetry.backlog import BACKLOG, BYTES_A_SECOND, MOST_ROWS, BacklogReader
from tests.support.metrics.scraped import Scraped

JOB = """
INSERT INTO jobs (id, options, status, source_bytes, duration_s, chunk_count, completed_at)
VALUES ($1, '{}', $2, $3, $4, $5, CASE WHEN $2 = 'COMPLETED' THEN now() END)
"""
TASK = """
INSERT INTO tasks (id, job_id, kind, ordinal, state, progress, attempts, created_at, dispatched_at, started_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, now() - make_interval(secs => $8), now() - make_interval(secs => $9),
    now() - make_interval(secs => $9))
"""


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


class Backlog:
    """Inserts rows and reads the backlog."""

    def __init__(self, database: asyncpg.Connection) -> None:
        self._database = database

    async def job(
        self, status: str = "PROCESSING", *, size: int | None = None, duration_s: float | None = None, chunks: int = 0
    ) -> Any:
        job_id = new_id()
        await self._database.execute(JOB, job_id, status, size, duration_s, chunks)
        return job_id

    async def task(  # noqa: PLR0913 - a row's columns
        self, job_id: Any, kind: str, state: str, *, ordinal: int = 0, progress: float = 0, attempts: int = 0,
        made_s: float = 0, dispatched_s: float = 0,
    ) -> None:  # fmt: skip
        values = new_id(), job_id, kind, ordinal, state, progress, attempts, made_s, dispatched_s
        await self._database.execute(TASK, *values)

    async def scrape(self) -> Scraped:
        return Scraped(await BacklogReader(self._database.fetch).text())


@pytest.fixture
def backlog(database: asyncpg.Connection) -> Backlog:
    return Backlog(database)


def audio_s(scraped: Scraped, kind: str, state: str) -> float:
    return scraped.get("headrace_backlog_audio_seconds", kind=kind, state=state)


def oldest_s(scraped: Scraped, kind: str, state: str) -> float:
    return scraped.get("headrace_backlog_oldest_task_age_seconds", kind=kind, state=state)


async def test_an_empty_database_has_no_backlog(backlog: Backlog) -> None:
    scraped = await backlog.scrape()
    assert scraped.get("headrace_record_readable") == 1
    assert sum(scraped.samples.values()) == 1


async def test_tasks_are_counted_by_kind_and_state(backlog: Backlog) -> None:
    job_id = await backlog.job(duration_s=60, chunks=3)
    for ordinal, state in enumerate(("dispatched", "dispatched", "running", "waiting", "done", "cancelled")):
        await backlog.task(job_id, "chunk", state, ordinal=ordinal)
    scraped = await backlog.scrape()
    states = {
        state: scraped.get("headrace_backlog_tasks", kind="chunk", state=state)
        for state in ("dispatched", "running", "waiting")
    }
    assert states == {"dispatched": 2, "running": 1, "waiting": 1}
    assert scraped.get("headrace_backlog_tasks", kind="prepare", state="dispatched") == 0


async def test_tasks_are_counted_by_the_queue_of_their_job(backlog: Backlog, database: asyncpg.Connection) -> None:
    gpu, other = await backlog.job(duration_s=60, chunks=3), await backlog.job(duration_s=90)
    await database.execute("UPDATE jobs SET queue = 'gpu' WHERE id = $1", gpu)
    for ordinal in range(2):
        await backlog.task(gpu, "chunk", "dispatched", ordinal=ordinal)
    await backlog.task(other, "prepare", "dispatched")
    await backlog.task(gpu, "deliver", "dispatched")
    scraped = await backlog.scrape()
    for queue, tasks, seconds in (("gpu", 2, 40), ("default", 1, 90)):
        assert scraped.get("headrace_backlog_queue_tasks", queue=queue, state="dispatched") == tasks
        assert scraped.get("headrace_backlog_queue_audio_seconds", queue=queue, state="dispatched") == seconds
    assert audio_s(scraped, "chunk", "dispatched") == 40
    assert scraped.get("headrace_backlog_tasks", kind="deliver", state="dispatched") == 1


async def test_a_chunk_counts_its_share_of_the_file_and_a_running_one_its_rest(backlog: Backlog) -> None:
    job_id = await backlog.job(duration_s=60, chunks=3)
    await backlog.task(job_id, "chunk", "dispatched", ordinal=0)
    await backlog.task(job_id, "chunk", "running", ordinal=1, progress=0.75)
    await backlog.task(job_id, "chunk", "waiting", ordinal=2, progress=0.75)  # progress of the failed attempt
    scraped = await backlog.scrape()
    assert [audio_s(scraped, "chunk", state) for state in ("dispatched", "running", "waiting")] == [20, 5, 20]


async def test_unknown_durations_are_estimated_from_bytes_of_finished_jobs(backlog: Backlog) -> None:
    job_id = await backlog.job("QUEUED", size=10 * BYTES_A_SECOND)
    await backlog.task(job_id, "prepare", "dispatched")
    await backlog.task(await backlog.job("QUEUED"), "prepare", "dispatched")  # an audio_url that was not fetched yet
    assert audio_s(await backlog.scrape(), "prepare", "dispatched") == pytest.approx(10)
    await backlog.job("COMPLETED", size=2000, duration_s=1)
    await backlog.job("COMPLETED", size=4000, duration_s=5)
    assert audio_s(await backlog.scrape(), "prepare", "dispatched") == pytest.approx(10 * BYTES_A_SECOND / 1000)


async def test_a_tasks_age_counts_from_its_creation_or_from_the_end_of_its_retry_wait(backlog: Backlog) -> None:
    job_id = await backlog.job(duration_s=60, chunks=9)
    # A new dispatch does not change the age of a task that has not failed.
    await backlog.task(job_id, "chunk", "dispatched", ordinal=0, made_s=100, dispatched_s=5)
    await backlog.task(job_id, "chunk", "dispatched", ordinal=1, attempts=1, made_s=900, dispatched_s=7)
    await backlog.task(job_id, "chunk", "running", ordinal=2, made_s=900, dispatched_s=30)
    await backlog.task(job_id, "deliver", "waiting", attempts=1, made_s=500, dispatched_s=50)
    scraped = await backlog.scrape()
    assert oldest_s(scraped, "chunk", "dispatched") == pytest.approx(100, abs=10)
    assert oldest_s(scraped, "chunk", "running") == pytest.approx(30, abs=10)
    assert oldest_s(scraped, "deliver", "waiting") == pytest.approx(500, abs=10)
    assert oldest_s(scraped, "prepare", "dispatched") == 0


async def test_dead_letters_are_open_until_they_are_dismissed(backlog: Backlog, database: asyncpg.Connection) -> None:
    for _ in range(3):
        await backlog.task(await backlog.job("FAILED", size=1), "prepare", "dead")
    await database.execute("UPDATE tasks SET dismissed_at = now() WHERE id = (SELECT id FROM tasks LIMIT 1)")
    assert (await backlog.scrape()).get("headrace_dead_letters_open", kind="prepare") == 2


async def test_partial_indexes_serve_the_query(database: asyncpg.Connection) -> None:
    """The query must not scan finished tasks to find waiting ones."""
    await database.execute("SET enable_seqscan = off")
    plan = "\n".join(row[0] for row in await database.fetch("EXPLAIN " + BACKLOG))
    assert all(name in plan for name in ("tasks_dispatched", "tasks_leased", "tasks_waiting", "tasks_dead"))
    assert "Seq Scan on tasks" not in plan


async def test_concurrent_scrapes_cost_one_query(database: asyncpg.Connection) -> None:
    queries = []
    proceed = asyncio.Event()

    async def fetch(query: str) -> Sequence[Mapping[str, Any]]:
        queries.append(query)
        await proceed.wait()
        rows: Sequence[Mapping[str, Any]] = await database.fetch(query)
        return rows

    reader = BacklogReader(fetch)
    first = asyncio.create_task(reader.text())
    await asyncio.sleep(0)
    others = [await reader.text() for _ in range(5)]
    proceed.set()
    assert "headrace_record_readable 1" in await first
    assert all("headrace_record_readable 0" in other for other in others)  # not known yet
    assert await reader.text() == await first
    assert len(queries) == 1


async def test_an_unavailable_database_is_reported_alone() -> None:
    async def fetch(_: str) -> None:
        return None

    assert Scraped(await BacklogReader(fetch).text()).samples == {("headrace_record_readable", frozenset()): 0}


async def test_a_hanging_database_does_not_delay_a_scrape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.telemetry.backlog.READ_TIMEOUT_S", 0.01)

    async def fetch(_: str) -> None:
        await asyncio.Event().wait()

    assert Scraped(await BacklogReader(fetch).text()).get("headrace_record_readable") == 0


async def test_a_very_long_queue_is_estimated_from_a_sample(backlog: Backlog, database: asyncpg.Connection) -> None:
    job_id = await backlog.job(duration_s=60, chunks=60)
    for ordinal in range(60):
        await backlog.task(job_id, "chunk", "dispatched", ordinal=ordinal)
    rows = await database.fetch(BACKLOG.replace(f"LIMIT {MOST_ROWS}", "LIMIT 6"))
    assert [(row["kind"], row["tasks"], row["audio_s"]) for row in rows] == [("chunk", 60, 60)]
