"""Which processor leads, and for what it gives its loops a turn, on a real Postgres."""

import asyncio
import contextlib
import re
from collections.abc import Iterator
from itertools import count
from uuid import UUID

import asyncpg
import pytest

from processor_service.maintenance.due_times import DueTimes
from processor_service.maintenance.leader import ASKED, LOOK, Leader, Lease, Turn
from processor_service.maintenance.rescue import wake
from processor_service.tasks.leases import Leases
from processor_service.tasks.outcomes import Failed, Postponed
from processor_service.tasks.retry import RetryPolicy
from processor_service.tasks.settle import settle
from shared.ids import new_id
from shared.schemas.failures import Failure, FailureCode
from tests.service.processor.conftest import Claim, Submit, task_row

EXPIRE = "UPDATE maintenance_leaders SET expires_at = now() - interval '1 s'"
TEST_EVENT = "INSERT INTO webhook_tests (id, tenant, url, host) VALUES ($1, 'default', 'http://client', 'client')"
ERASED = """
UPDATE jobs SET status = 'CANCELLED', completed_at = now(), erased_at = now() - interval '1 minute'
WHERE id = (SELECT job_id FROM tasks WHERE id = $1)
"""
MANY = """
WITH job AS (
    INSERT INTO jobs (id, options, container, source_bytes, source_sha256)
    SELECT gen_random_uuid(), '{}', 'wav', 4, 'ab' FROM generate_series(1, $1::int) RETURNING id
)
INSERT INTO tasks (id, job_id, kind) SELECT gen_random_uuid(), id, 'prepare' FROM job
"""
TIMEOUT = Failure(code=FailureCode.TIMEOUT, message="slow", transient=True)


class Member(Leader):
    """A leader of a test: it looks only when the test says so."""

    numbers: Iterator[int] = count(1)

    def __init__(self, database: asyncpg.Pool) -> None:
        self.due = DueTimes()
        super().__init__(database, f"member-{next(self.numbers)}", self.due, settled_s=10.0, jobs_kept_s=0.0)
        self.turns = {name: self.asked(name) for name in ASKED}

    async def work(self) -> set[str]:
        """Look once. Return the loops that then have a turn."""
        await self.look()
        return {name for name, turn in self.turns.items() if await _has_come(turn)}


async def _has_come(turn: Turn) -> bool:
    waiting = asyncio.ensure_future(turn())
    for _ in range(3):  # its steps without a wait
        await asyncio.sleep(0)
    if not waiting.done():
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        return False
    return True


async def test_one_of_many_leads_until_its_lease_expires(database: asyncpg.Pool) -> None:
    members = [Member(database) for _ in range(6)]
    await asyncio.gather(*(one.look() for one in members))
    (first,) = [one for one in members if one.leading.is_set()]

    await asyncio.gather(*(one.look() for one in members))
    assert [one for one in members if one.leading.is_set()] == [first]

    await database.execute(EXPIRE)
    (second, *_) = others = [one for one in members if one is not first]
    await second.look()
    await asyncio.gather(*(one.look() for one in others), first.look())
    assert [one for one in members if one.leading.is_set()] == [second]


async def test_a_leader_that_stops_is_replaced_at_once(database: asyncpg.Pool) -> None:
    first, second = Member(database), Member(database)
    await first.look()
    await second.resign()  # it holds nothing
    await second.look()
    assert not second.leading.is_set()

    await first.resign()
    await second.look()

    assert second.leading.is_set()


async def test_the_leases_of_shards_are_independent(database: asyncpg.Pool) -> None:
    one, other = Lease(database, "one", "erase", 0), Lease(database, "other", "erase", 0)
    assert [await one.lead(), await other.lead(), await one.lead()] == [True, False, True]
    assert await Lease(database, "other", "erase", 1).lead()
    await one.resign()
    assert await other.lead()


async def test_only_the_leader_has_turns(database: asyncpg.Pool, submit: Submit, claim_task: Claim) -> None:
    leader, candidate = Member(database), Member(database)
    assert await leader.work() == {"dead_letters"}  # once: the list may be of another time
    assert await leader.work() == set()
    await claim_task(await submit(), lease_s=0)
    await database.execute(TEST_EVENT, new_id())
    await database.execute("UPDATE tasks SET dispatched_at = now() - interval '1 minute' WHERE id = $1", await submit())

    assert await candidate.work() == set()
    assert await leader.work() == {"rescue", "reconcile", "webhook_tests"}


async def test_a_look_scans_no_table(database: asyncpg.Pool) -> None:
    """Although the statistics are from the time of a backlog that has ended."""
    await database.execute(MANY, 3000)
    await database.execute("ANALYZE jobs; ANALYZE tasks")
    leader = Member(database)
    plan = await database.fetch(f"EXPLAIN {LOOK}", *leader._lease.parameters, *leader._bounds)
    text = "\n".join(row[0] for row in plan)
    assert re.findall(r"Seq Scan on (?:jobs|tasks)_other", text) == [], text  # the slice that holds them


async def test_blobs_are_erased_by_every_processor(database: asyncpg.Pool, submit: Submit) -> None:
    leader, candidate = Member(database), Member(database)
    await leader.work()
    await database.execute(ERASED, await submit())
    assert "erase" in await candidate.work()
    assert "erase" in await leader.work()


async def test_rescue_has_one_turn_more(database: asyncpg.Pool, submit: Submit, claim_task: Claim) -> None:
    leader = Member(database)
    await leader.work()
    task = await claim_task(await submit(), lease_s=0)
    assert await leader.work() == {"rescue"}
    await database.execute("UPDATE tasks SET lease_expires_at = now() + interval '1 minute' WHERE id = $1", task.id)
    assert await leader.work() == {"rescue"}  # which forgets the lease
    assert await leader.work() == set()


async def test_new_and_dismissed_dead_letters_are_noticed(
    database: asyncpg.Pool, submit: Submit, claim_task: Claim
) -> None:
    leader, policy = Member(database), RetryPolicy(waits_s=(), longest_retry_after_s=0)
    await leader.work()
    task = await claim_task(await submit())
    await settle(database, task, Failed(TIMEOUT), policy=policy)
    assert await leader.work() == {"dead_letters"}
    assert await leader.work() == set()
    await database.execute("UPDATE tasks SET dismissed_at = now() WHERE id = $1", task.id)
    assert await leader.work() == {"dead_letters"}


async def test_a_waiting_task_is_due_exactly_at_its_time(
    database: asyncpg.Pool, submit: Submit, claim_task: Claim
) -> None:
    """The order of three waits, of this process and of one that ended, without a look in between."""
    leader, due = Member(database), DueTimes()
    leader._due = due
    waits_s = {await _waiting(database, claim_task, await submit(), wait_s): wait_s for wait_s in (0.2, 0.4, 30.0)}
    await leader.look()  # sees the first, of a process that ended
    due.add(0.45)  # after the second
    woken: list[UUID] = []

    while len(woken) < 2:
        await due.reached()
        async with database.acquire() as connection, connection.transaction():
            woken += [dispatch.task_id for dispatch in await wake(connection)]

    assert woken == sorted(waits_s, key=waits_s.__getitem__)[:2]
    last = sorted(waits_s, key=waits_s.__getitem__)[2]
    assert (await task_row(database, last))["state"] == "waiting"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(due.reached(), 0.01)


async def _waiting(database: asyncpg.Pool, claim_task: Claim, task_id: UUID, wait_s: float) -> UUID:
    policy = RetryPolicy(waits_s=(), longest_retry_after_s=0)
    after_commit = await settle(database, await claim_task(task_id), Postponed(wait_s), policy=policy)
    assert after_commit.due_in_s == wait_s
    return task_id


async def test_heartbeats_do_not_wait_for_other_statements(
    database: asyncpg.Pool, database_url: str, submit: Submit, claim_task: Claim
) -> None:
    """While all connections of the tasks wait for a lock."""
    task, ended = await claim_task(await submit()), asyncio.Event()
    before = (await task_row(database, task.id))["lease_expires_at"]
    async with asyncpg.create_pool(database_url, min_size=1, max_size=1) as busy, busy.acquire():
        leases = Leases(busy, heartbeats=database, lease_s=3600)

        async def stage() -> Postponed:
            await ended.wait()
            return Postponed(1.0)

        held = asyncio.create_task(leases.hold(task, stage()))
        await asyncio.sleep(0)
        await leases.beat()
        ended.set()
        await held
    assert (await task_row(database, task.id))["lease_expires_at"] > before
