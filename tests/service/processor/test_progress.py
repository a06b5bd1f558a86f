"""A large step of progress is worth a heartbeat; small ones wait for the next."""

import asyncio

import asyncpg
import pytest

from processor_service.tasks.leases import PROGRESS_STEP, Leases
from processor_service.tasks.outcomes import Interrupted, Outcome
from tests.service.processor.conftest import Claim, Submit, task_row


async def test_large_steps_request_a_heartbeat_that_writes_them(
    database: asyncpg.Pool, submit: Submit, claim_task: Claim
) -> None:
    task = await claim_task(await submit())
    leases, ended = Leases(database, lease_s=15), asyncio.Event()

    async def work() -> Outcome:
        await ended.wait()
        return Interrupted()

    held = asyncio.create_task(leases.hold(task, work()))
    await asyncio.sleep(0)
    for step, is_large in ((0.8, False), (1.2, True), (1.9, False), (2.5, True)):
        leases.report(task, step * PROGRESS_STEP)
        requested = asyncio.create_task(leases.progressed())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert requested.done() == is_large
        requested.cancel()
        if is_large:
            await leases.beat()
            assert (await task_row(database, task.id))["progress"] == pytest.approx(step * PROGRESS_STEP)
    ended.set()
    assert isinstance(await held, Interrupted)


async def test_a_task_that_ends_during_a_heartbeat_has_not_lost_its_lease(
    database: asyncpg.Pool, submit: Submit, claim_task: Claim, caplog: pytest.LogCaptureFixture
) -> None:
    task = await claim_task(await submit())
    leases, ended = Leases(database, lease_s=15), asyncio.Event()

    async def work() -> Outcome:
        await ended.wait()
        return Interrupted()

    held = asyncio.create_task(leases.hold(task, work()))
    await asyncio.sleep(0)
    async with database.acquire() as connection, connection.transaction():
        await connection.execute("UPDATE tasks SET state = 'done' WHERE id = $1", task.id)
        beating = asyncio.create_task(leases.beat())  # waits for the row
        await asyncio.sleep(0)
        ended.set()
        assert isinstance(await held, Interrupted)
    await beating

    assert not [record for record in caplog.records if "lease_lost" in record.getMessage()]
