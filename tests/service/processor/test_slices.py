"""Slices are made before they are needed, take the rows that came first, and are dropped when nothing needs them."""

import datetime as dt
from uuid import UUID

import asyncpg
import pytest

from processor_service.maintenance.loop import run_locked
from processor_service.maintenance.slices import LONGEST_DAYS, MOST_JOBS, Slice, SliceKeeper, next_end
from shared.ids import new_task_id

TODAY = dt.date(2030, 5, 20)
DAY = dt.timedelta(days=1)
DAY_S = 24 * 3600.0
PASSED_S = -60 * DAY_S  # as a period that ended 60 days after now: the first slice ends in two weeks

INSERT_JOB = "INSERT INTO jobs (id, options, status, completed_at) VALUES ($1, '{}', 'COMPLETED', now())"
INSERT_TASK = "INSERT INTO tasks (id, job_id, kind, state) VALUES ($1, $2, 'deliver', $3)"
INSERT_EVENT = (
    "INSERT INTO webhook_events (id, job_id, generation, type, body) VALUES ($1::uuid::text, $1, 1, '', '{}')"
)
INSERT_ATTEMPT = """
INSERT INTO webhook_attempts (event_id, task_id, tenant) VALUES ($1::uuid::text, $2, 'default') RETURNING id
"""
ERASE = "UPDATE jobs SET erased_at = now() WHERE id = $1"
SWEPT = "UPDATE jobs SET blobs_erased_at = now() WHERE id = $1"
DELIVERED = "UPDATE tasks SET state = 'done' WHERE id = $1 AND job_id = $2"
ENDS = "SELECT array_agg(ends ORDER BY ends) FROM slice_ends() AS ends"
WHERE_IS = "SELECT tableoid::regclass::text FROM jobs WHERE id = $1"


def id_of(day: dt.date, number: int) -> UUID:
    """Return the id of a job of a day."""
    noon_ms = int(dt.datetime.combine(day, dt.time(12), dt.UTC).timestamp() * 1000)
    return UUID(int=noon_ms << 80 | 7 << 76 | 2 << 62 | number)


@pytest.mark.parametrize(
    ("jobs_a_day", "days"),
    [(0, LONGEST_DAYS), (1000, LONGEST_DAYS), (MOST_JOBS // 10, 10), (86_400_000, 2), (10 * MOST_JOBS, 1)],
)
def test_a_slice_is_as_short_as_the_busiest_one_was_full(jobs_a_day: int, days: int) -> None:
    slices = [Slice(ends=TODAY - DAY, jobs=9.0 * jobs_a_day), Slice(ends=TODAY + 6 * DAY, jobs=jobs_a_day)]
    assert next_end(slices, TODAY - 10 * DAY, TODAY) == TODAY + (6 + days) * DAY


def test_no_slice_is_made_while_the_last_one_is_a_week_ahead() -> None:
    assert next_end([Slice(ends=TODAY + 8 * DAY)], TODAY, TODAY) is None
    assert next_end([Slice(ends=TODAY + 7 * DAY)], TODAY, TODAY) == TODAY + 37 * DAY


def test_an_empty_database_gets_long_slices() -> None:
    assert next_end([Slice(ends=TODAY)], TODAY, TODAY) == TODAY + LONGEST_DAYS * DAY


async def test_rows_without_a_slice_are_stored_and_move_to_it(database: asyncpg.Pool) -> None:
    last = (await database.fetchval(ENDS))[-1]
    job_id = id_of(last, 1)
    task_id = new_task_id(job_id)
    await database.execute(INSERT_JOB, job_id)
    await database.execute(INSERT_TASK, task_id, job_id, "dispatched")
    assert await database.fetchval(WHERE_IS, job_id) == "jobs_other"

    await database.execute("SELECT make_slice($1)", last + DAY)

    assert await database.fetchval(WHERE_IS, job_id) == f"jobs_until_{last + DAY:%Y%m%d}"
    assert await database.fetchval("SELECT kind FROM tasks WHERE id = $1", task_id) == "deliver"
    with pytest.raises(asyncpg.UniqueViolationError):
        await database.execute(INSERT_TASK, task_id, job_id, "dispatched")


@pytest.mark.parametrize("days", [0, -1, 32, 400])
async def test_a_slice_neither_overlaps_nor_leaves_a_gap(database: asyncpg.Pool, days: int) -> None:
    last = (await database.fetchval(ENDS))[-1]
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await database.execute("SELECT make_slice($1)", last + days * DAY)


async def test_a_slice_is_dropped_when_its_last_job_is_erased_and_its_period_is_over(database: asyncpg.Pool) -> None:
    first, second = await database.fetchval(ENDS)
    job_id, later = id_of(first - DAY, 1), id_of(first, 1)
    task_id = new_task_id(job_id)
    for each in (job_id, later):
        await database.execute(INSERT_JOB, each)
    await database.execute(INSERT_TASK, task_id, job_id, "waiting")
    await database.execute(INSERT_EVENT, job_id)
    await database.execute(INSERT_ATTEMPT, job_id, task_id)
    keeper = SliceKeeper(tombstones_s=PASSED_S, webhook_log_s=DAY_S)

    for needed in (ERASE, SWEPT):  # each alone is not enough, nor are both while a delivery waits
        await run_locked(database, "slices", keeper)
        assert await database.fetchval(ENDS) == [first, second]
        await database.execute(needed, job_id)
    await run_locked(database, "slices", keeper)
    assert await database.fetchval(ENDS) == [first, second]
    await database.execute(DELIVERED, task_id, job_id)
    await run_locked(database, "slices", SliceKeeper(tombstones_s=0, webhook_log_s=DAY_S))
    await run_locked(database, "slices", SliceKeeper(tombstones_s=DAY_S, webhook_log_s=DAY_S))
    assert await database.fetchval(ENDS) == [first, second]

    await run_locked(database, "slices", keeper)

    assert await database.fetchval(ENDS) == [second]
    for table in ("tasks", "webhook_events", "webhook_attempts"):
        assert await database.fetchval(f"SELECT count(*) FROM {table}") == 0  # noqa: S608 - constants
    assert await database.fetchval("SELECT id FROM jobs") == later


async def test_an_id_of_a_dropped_slice_can_still_be_taken(database: asyncpg.Pool) -> None:
    """The collector of orphans inserts the tombstone of a job that was never committed."""
    first, _ = await database.fetchval(ENDS)
    keeper = SliceKeeper(tombstones_s=PASSED_S, webhook_log_s=DAY_S)
    await run_locked(database, "slices", keeper)
    orphan = id_of(first - DAY, 1)
    await database.execute(INSERT_JOB, orphan)
    await database.execute(ERASE, orphan)
    assert await database.fetchval(WHERE_IS, orphan) == "jobs_other"
    await run_locked(database, "slices", keeper)  # drops the second slice, and what is older
    assert await database.fetchval("SELECT count(*) FROM jobs") == 0


async def test_attempts_are_dropped_with_the_period_of_the_log(database: asyncpg.Pool) -> None:
    first, second = await database.fetchval(ENDS)
    job_id = id_of(first - DAY, 1)
    await database.execute(INSERT_JOB, job_id)
    await database.execute(INSERT_ATTEMPT, job_id, new_task_id(job_id))
    await run_locked(database, "slices", SliceKeeper(tombstones_s=0, webhook_log_s=DAY_S))
    assert await database.fetchval("SELECT count(*) FROM webhook_attempts") == 1
    await run_locked(database, "slices", SliceKeeper(tombstones_s=0, webhook_log_s=-20 * DAY_S))
    assert await database.fetchval("SELECT count(*) FROM webhook_attempts") == 0
    assert await database.fetchval(ENDS) == [first, second]
    assert await database.fetchval("SELECT count(*) FROM jobs") == 1
    await database.execute(INSERT_ATTEMPT, job_id, new_task_id(job_id))  # to the partition of other rows


async def test_a_locked_table_is_left_to_the_next_run(database: asyncpg.Pool) -> None:
    first, second = await database.fetchval(ENDS)
    keeper = SliceKeeper(tombstones_s=PASSED_S, webhook_log_s=DAY_S)
    async with database.acquire() as other, other.transaction():
        await other.fetchval("SELECT count(*) FROM jobs")
        await run_locked(database, "slices", keeper)
        assert await database.fetchval(ENDS) == [first, second]
    await run_locked(database, "slices", keeper)
    assert await database.fetchval(ENDS) == [second]


async def test_ids_of_attempts_sort_by_time(database: asyncpg.Pool) -> None:
    job_id = id_of(TODAY, 1)
    ids = [await database.fetchval(INSERT_ATTEMPT, job_id, new_task_id(job_id)) for _ in range(3)]
    assert ids == sorted(ids)
    (made_ms,) = {ids[0] >> 20}
    now = await database.fetchval("SELECT extract(epoch FROM now()) * 1000")
    assert abs(made_ms - float(now)) < DAY_S * 1000
