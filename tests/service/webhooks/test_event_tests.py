"""Test events: sent once, signed with the tenant's secret, through the guard and within the shares."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest
from standardwebhooks import Webhook

from processor_service.maintenance.loop import run_locked
from processor_service.maintenance.webhook_log import keep_webhook_log
from processor_service.webhooks import event_tests
from processor_service.webhooks.event_tests import EventTester
from processor_service.webhooks.send import open_webhook_session
from shared.ids import new_id
from shared.schemas.called_urls import shown_host
from shared.secret import Secret
from tests.service.webhooks.conftest import SECRET, settings_with
from tests.service.webhooks.test_tenant_secrets import is_signed_with, secret_of
from tests.support.ingest.serving import until
from tests.support.webhooks.endpoint import Endpoint, answering, stalling, status

REQUEST = "INSERT INTO webhook_tests (id, tenant, url, host) VALUES ($1, $2, $3, $4)"


async def request(database: asyncpg.Pool, url: str, tenant: str = "default") -> UUID:
    test_id = new_id()
    await database.execute(REQUEST, test_id, tenant, url, shown_host(url) or "")
    return test_id


async def result_of(database: asyncpg.Pool, test_id: UUID) -> dict[str, Any]:
    return dict(await database.fetchrow("SELECT * FROM webhook_tests WHERE id = $1", test_id))


@asynccontextmanager
async def opened(database: asyncpg.Pool, **values: Any) -> AsyncIterator[EventTester]:
    settings = settings_with(**{"webhook_secret": Secret(SECRET), **values})
    async with open_webhook_session(settings) as http, EventTester.opened(database, http, settings) as one:
        yield one


async def run(database: asyncpg.Pool, **values: Any) -> None:
    """Run once, and wait for the results."""
    async with opened(database, **values) as sender:
        await run_locked(database, "webhook_tests", sender)
        await sender.sent()


async def test_the_event_is_signed_and_its_answer_recorded(database: asyncpg.Pool) -> None:
    async with Endpoint(answering(status(200, body=b"Thanks"))).listening() as endpoint:
        test_id = await request(database, endpoint.url)
        await run(database)
    (sent,) = endpoint.received
    assert Webhook(SECRET).verify(sent.body, sent.headers)
    body = msgspec.json.decode(sent.body)
    assert (body["type"], body["data"]) == ("webhook.test", {"test_id": str(test_id), "job_id": None})
    assert sent.headers["webhook-id"] == f"evt_{test_id.hex}_test"
    result = await result_of(database, test_id)
    assert (result["status"], result["error"], result["answer"]) == (200, None, "Thanks")
    assert result["duration_ms"] is not None


async def test_the_tenants_own_secret_signs(database: asyncpg.Pool) -> None:
    secret = await secret_of(database, "acme")
    async with Endpoint(answering(status(204))).listening() as endpoint:
        await request(database, endpoint.url, "acme")
        await run(database)
    assert is_signed_with(secret, endpoint.received[0])
    assert not is_signed_with(SECRET, endpoint.received[0])


async def test_a_test_is_sent_once_whatever_the_answer(database: asyncpg.Pool) -> None:
    async with Endpoint(answering(status(500, body=b"Oops"))).listening() as endpoint:
        test_id = await request(database, endpoint.url)
        for _ in range(3):
            await run(database)
    assert len(endpoint.received) == 1
    result = await result_of(database, test_id)
    assert (result["status"], result["answer"]) == (500, "Oops")
    assert "answered 500" in result["error"]


async def test_two_processors_send_it_once(database: asyncpg.Pool) -> None:
    async with Endpoint(answering(status(204))).listening() as endpoint:
        for _ in range(5):
            await request(database, endpoint.url)
        async with opened(database) as one, opened(database) as other, database.acquire() as connection:
            await one(connection)
            await other(connection)
            await asyncio.gather(one.sent(), other.sent())
            await run(database)
    assert len(endpoint.received) == 5


@pytest.mark.parametrize(
    ("url", "values", "why"),
    [
        ("http://127.0.0.1:9/", {"webhook_allow_private": "false"}, "a loopback address"),
        ("http://169.254.169.254/latest/", {}, "a link-local address"),
        ("http://example.com/", {"webhook_schemes": ("https",)}, "its scheme is not https"),
        ("https://example.com:8443/", {"webhook_ports": (443,)}, "its port is not 443"),
    ],
)
async def test_the_guard_refuses_what_it_refuses_a_job(
    database: asyncpg.Pool, url: str, values: dict[str, Any], why: str
) -> None:
    test_id = await request(database, url)
    await run(database, **values)
    result = await result_of(database, test_id)
    assert (result["status"], result["answer"]) == (None, None)
    assert why in result["error"]


async def test_without_a_secret_nothing_is_sent(database: asyncpg.Pool) -> None:
    async with Endpoint(answering(status(204))).listening() as endpoint:
        test_id = await request(database, endpoint.url)
        await run(database, webhook_secret=Secret(""))
    assert endpoint.received == []
    assert "no secret" in (await result_of(database, test_id))["error"]


async def test_the_answer_is_bounded_and_printable(database: asyncpg.Pool) -> None:
    async with Endpoint(answering(status(200, body=b"\x00\x1b" + b"x" * 10_000))).listening() as endpoint:
        test_id = await request(database, endpoint.url)
        await run(database)
    answer = (await result_of(database, test_id))["answer"]
    assert len(answer) == 500
    assert answer.startswith("\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}x")


async def test_a_tenant_whose_endpoints_hang_leaves_room_for_others(database: asyncpg.Pool) -> None:
    async with contextlib.AsyncExitStack() as stack:
        slow = [await stack.enter_async_context(_listening(stalling())) for _ in range(8)]
        quick = await stack.enter_async_context(_listening(answering(status(204))))
        for endpoint in slow:
            await request(database, endpoint.url, "acme")
        sender = await stack.enter_async_context(opened(database, deliveries=50))
        await run_locked(database, "webhook_tests", sender)

        async def half_is_sent() -> bool:
            return sum(len(endpoint.received) for endpoint in slow) == event_tests.AT_ONCE // 2

        async def quick_is_sent() -> bool:
            return len(quick.received) == 1

        await until(half_is_sent)
        await run_locked(database, "webhook_tests", sender)
        test_id = await request(database, quick.url, "globex")
        await run_locked(database, "webhook_tests", sender)
        await until(quick_is_sent)
        assert await half_is_sent()
    assert (await result_of(database, test_id))["attempted_at"] is not None


async def test_many_waiting_tests_of_a_tenant_do_not_hide_those_of_others(
    database: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_tests, "READ_AT_ONCE", 4)
    async with _listening(stalling()) as slow, _listening(answering(status(204))) as quick:
        for _ in range(6):
            await request(database, slow.url, "acme")
        test_id = await request(database, quick.url, "globex")
        async with opened(database, deliveries=50) as sender:
            await run_locked(database, "webhook_tests", sender)

            async def quick_is_sent() -> bool:
                return len(quick.received) == 1

            await until(quick_is_sent)
    assert (await result_of(database, test_id))["attempted_at"] is not None


def _listening(script: Any) -> AbstractAsyncContextManager[Endpoint]:
    return Endpoint(script).listening()


async def test_old_tests_are_deleted_and_old_attempts_get_their_tenant(database: asyncpg.Pool) -> None:
    old, new = await request(database, "http://a.example/"), await request(database, "http://a.example/")
    await database.execute("UPDATE webhook_tests SET created_at = now() - interval '61 min' WHERE id = $1", old)
    await database.execute(ATTEMPT_OF_BEFORE, new_id(), new_id())
    await run_locked(database, "webhook_log", keep_webhook_log)
    assert [row["id"] for row in await database.fetch("SELECT id FROM webhook_tests")] == [new]
    assert await database.fetchval("SELECT tenant FROM webhook_attempts") == "acme"


ATTEMPT_OF_BEFORE = """
    WITH job AS (INSERT INTO jobs (id, tenant, options) VALUES ($1, 'acme', '{}') RETURNING id),
    task AS (INSERT INTO tasks (id, job_id, kind) SELECT $2::uuid, id, 'deliver' FROM job RETURNING id),
    event AS (
        INSERT INTO webhook_events (id, job_id, generation, type, body)
        SELECT 'evt', id, 1, 'job.completed', '{}' FROM job RETURNING id)
    INSERT INTO webhook_attempts (event_id, task_id) SELECT event.id, task.id FROM event, task
"""
