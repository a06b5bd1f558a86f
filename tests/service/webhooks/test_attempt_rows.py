"""The rows of attempts: inserted before the request, fenced, without secrets."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from processor_service.errors import PermanentError
from processor_service.maintenance.rescue import wake
from processor_service.tasks.claim import claim
from processor_service.tasks.outcomes import LeaseLost, Postponed
from processor_service.tasks.retry import RetryPolicy
from processor_service.tasks.settle import settle
from processor_service.webhooks.deliver import deliver
from processor_service.webhooks.send import open_webhook_session
from shared.blobs.blob_store import BlobStore
from shared.schemas.failures import FailureCode
from shared.schemas.webhook_events import DeliveryInput
from tests.service.processor.conftest import task_row
from tests.service.webhooks.conftest import SECRET, Attempt, ClaimDelivery, delivered, not_delivered, settings_with
from tests.support.webhooks.endpoint import Endpoint, Script, answering, stalling, status

POLICY = RetryPolicy(waits_s=(), longest_retry_after_s=0)


async def _rows(database: asyncpg.Pool) -> list[Any]:
    return list(await database.fetch("SELECT * FROM webhook_attempts ORDER BY id"))


async def test_the_row_is_inserted_before_the_request(
    database: asyncpg.Pool, claim_delivery: ClaimDelivery, attempt: Attempt
) -> None:
    rows_at_arrival: list[Any] = []

    async def look(endpoint: Endpoint, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        rows_at_arrival.extend(await _rows(database))
        await answering(status(204))(endpoint, reader, writer)

    async with Endpoint(look).listening() as endpoint:
        task = await claim_delivery(endpoint.url)
        outcome = delivered(await attempt(task))

    (row,) = rows_at_arrival
    event_id = msgspec.json.decode(task.input or b"", type=DeliveryInput).event_id
    assert (row["id"], row["event_id"], row["task_id"]) == (outcome.attempt.id, event_id, task.id)
    assert (row["duration_ms"], row["status"], row["error"]) == (None, None, None)
    assert endpoint.received[0].headers["webhook-id"] == event_id


async def test_every_attempt_has_a_row_and_the_same_event_id(
    database: asyncpg.Pool, claim_delivery: ClaimDelivery, attempt: Attempt
) -> None:
    async with Endpoint(answering(status(500))).listening() as endpoint:
        task = await claim_delivery(endpoint.url)
        outcomes = [not_delivered(await attempt(task)) for _ in range(3)]

    assert [row["id"] for row in await _rows(database)] == [outcome.attempt.id for outcome in outcomes]
    assert len({request.headers["webhook-id"] for request in endpoint.received}) == 1
    assert len({request.body for request in endpoint.received}) == 1


@pytest.mark.parametrize(
    "loss",
    [
        "UPDATE tasks SET lease_token = lease_token + 1 WHERE id = $1",
        "UPDATE tasks SET state = 'dispatched' WHERE id = $1",
        "UPDATE tasks SET state = 'cancelled' WHERE id = $1",
    ],
)
async def test_a_lost_lease_sends_and_writes_nothing(
    database: asyncpg.Pool, claim_delivery: ClaimDelivery, attempt: Attempt, loss: str
) -> None:
    async with Endpoint(answering(status(200))).listening() as endpoint:
        task = await claim_delivery(endpoint.url)
        await database.execute(loss, task.id)

        assert isinstance(await attempt(task), LeaseLost)

    assert (endpoint.hits, await _rows(database)) == (0, [])


async def test_an_uncommitted_loss_of_the_lease_is_awaited(
    database: asyncpg.Pool, claim_delivery: ClaimDelivery, attempt: Attempt
) -> None:
    async with Endpoint(answering(status(200))).listening() as endpoint:
        task = await claim_delivery(endpoint.url)
        async with database.acquire() as rescuer, rescuer.transaction():
            await rescuer.execute("UPDATE tasks SET state = 'dispatched' WHERE id = $1", task.id)
            attempting = asyncio.create_task(attempt(task))
            await _until_a_lock_is_awaited(database)

        assert isinstance(await attempting, LeaseLost)

    assert (endpoint.hits, await _rows(database)) == (0, [])


async def _until_a_lock_is_awaited(database: asyncpg.Pool) -> None:
    async with asyncio.timeout(10):
        while not await database.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110 - polls
            await asyncio.sleep(0.01)


async def test_a_missing_event_is_an_internal_error(
    database: asyncpg.Pool, claim_delivery: ClaimDelivery, attempt: Attempt
) -> None:
    task = await claim_delivery("http://127.0.0.1:1/")
    await database.execute("DELETE FROM webhook_events")

    with pytest.raises(PermanentError) as raised:
        await attempt(task)

    assert raised.value.code is FailureCode.INTERNAL


@pytest.mark.parametrize("secret", [None, "whsec_AAAAAAAAAAAAAAAAA"])
async def test_without_a_secret_nothing_is_sent_and_the_row_has_the_reason(
    claim_delivery: ClaimDelivery, attempt: Attempt, secret: str | None
) -> None:
    async with Endpoint(answering(status(200))).listening() as endpoint:
        outcome = not_delivered(await attempt(await claim_delivery(endpoint.url, secret=secret)))

    assert (outcome.failure.code, outcome.failure.transient) == (FailureCode.WEBHOOK_REFUSED, False)
    assert outcome.attempt.error == outcome.failure.message
    assert "secret" in outcome.failure.message
    assert "AAAA" not in outcome.failure.message
    assert endpoint.hits == 0


@pytest.mark.parametrize("script", [answering(status(200)), answering(status(500)), answering()])
async def test_neither_secret_nor_query_is_stored_or_logged(
    database: asyncpg.Pool,
    claim_delivery: ClaimDelivery,
    attempt: Attempt,
    script: Script,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with Endpoint(script).listening() as endpoint:
        urls = [endpoint.url, f"http://unknown.invalid:{endpoint.port}", "http://169.254.169.254", "http://2130706433"]
        outcomes = [await attempt(await claim_delivery(f"{url}?token=hush")) for url in urls]

    logged = [f"{record.getMessage()} {record.__dict__}" for record in caplog.records]
    output = "\n".join([*logged, *map(repr, outcomes), *map(repr, await _rows(database))])
    assert [record.getMessage() for record in caplog.records].count("webhook_attempted") == len(urls)
    assert "hush" not in output
    assert SECRET not in output
    assert SECRET.removeprefix("whsec_") not in output


async def test_a_hanging_endpoint_does_not_block_another_host(
    database: asyncpg.Pool, claim_delivery: ClaimDelivery, blobs: BlobStore
) -> None:
    settings = settings_with(deliveries=4)
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(open_webhook_session(settings))
        hanging = await stack.enter_async_context(Endpoint(stalling()).listening())
        fine = await stack.enter_async_context(Endpoint(answering(status(200))).listening())
        held = [await claim_delivery(hanging.url) for _ in range(2)]
        under_way = [asyncio.create_task(deliver(task, database, http, settings, blobs)) for task in held]
        await _until(lambda: len(hanging.received) == 2)

        third = await claim_delivery(hanging.url)
        postponed = await deliver(third, database, http, settings, blobs)
        assert isinstance(postponed, Postponed)
        await settle(database, third, postponed, policy=POLICY)
        other = await claim_delivery(fine.url.replace("127.0.0.1", "localhost"))
        delivered(await deliver(other, database, http, settings, blobs))

        await _cancel(under_way)
    assert (hanging.hits, fine.hits, len(await _rows(database))) == (2, 1, 3)
    await _assert_woken_without_an_attempt(database, third.id)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - polls
            await asyncio.sleep(0.01)


async def _cancel(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _assert_woken_without_an_attempt(database: asyncpg.Pool, task_id: UUID) -> None:
    row = await task_row(database, task_id)
    assert (row["state"], row["attempts"], row["crashes"], row["leased_by"]) == ("waiting", 0, 0, None)
    await database.execute("UPDATE tasks SET not_before = now() WHERE id = $1", task_id)
    async with database.acquire() as connection:
        (dispatch,) = await wake(connection)
    assert await claim(database, task_id, dispatch.dispatch_no, worker="test", lease_s=15)
