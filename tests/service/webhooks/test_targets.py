"""An event goes to each of its targets: the job's `webhook_url`, its `webhooks`, and the endpoints of its tenant."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from processor_service.maintenance.loop import run_locked
from processor_service.settings import ProcessorSettings
from processor_service.tasks.claim import ClaimedTask
from processor_service.tasks.outcomes import (
    Delivered,
    Delivery,
    Dropped,
    Failed,
    JobDone,
    LeaseLost,
    NotDelivered,
    Postponed,
)
from processor_service.tasks.retry import RetryPolicy
from processor_service.tasks.settle import AfterCommit, settle
from processor_service.webhooks.deliver import deliver
from processor_service.webhooks.event_tests import EventTester
from processor_service.webhooks.send import open_webhook_session
from shared.blobs import blob_keys
from shared.blobs.blob_store import BlobStore
from shared.ids import jobs_of, new_id, new_task_id
from shared.schemas.failures import Failure, FailureCode
from shared.schemas.states import TaskKind
from shared.secret import Secret
from tests.service.processor.conftest import Claim, task_row
from tests.service.webhooks.conftest import settings_with
from tests.service.webhooks.test_tenant_secrets import is_signed_with
from tests.support.webhooks.endpoint import Endpoint, answering, stalling, status

SERVICE = f"whsec_{base64.b64encode(b's' * 32).decode()}"
OWN = f"whsec_{base64.b64encode(b'o' * 32).decode()}"
SECRETS = [f"whsec_{base64.b64encode(letter * 32).decode()}" for letter in (b"a", b"b")]
POLICY = RetryPolicy(waits_s=(60.0, 60.0), longest_retry_after_s=0)
INSERT_JOB = """
INSERT INTO jobs (id, tenant, options, container, source_bytes, source_sha256, webhook_url, webhooks)
VALUES ($1, $2, '{}', 'wav', 4, 'ab', $3, $4)
"""
ADD_ENDPOINT = """
INSERT INTO webhook_endpoints (id, tenant, url, host, events, contents, enabled, description)
VALUES ($1, $2, $3, '127.0.0.1', $4, $5, $6, '')
"""
ADD_SECRET = "INSERT INTO webhook_endpoint_secrets (endpoint_id, tenant, secret, expires_at) VALUES ($1, $2, $3, $4)"  # noqa: S105 - SQL
OF_ENDPOINT = "SELECT * FROM webhook_endpoints WHERE id = $1"
FAILED = Failed(Failure(code=FailureCode.INTERNAL, message="It broke."))


class World:
    """Jobs of the tenant acme, its endpoints, and a processor that delivers."""

    def __init__(self, database: asyncpg.Pool, claim_task: Claim, blobs: BlobStore, http: Any) -> None:
        self.database = database
        self.claim_task = claim_task
        self.blobs = blobs
        self.settings = world_settings()
        self.http = http

    async def endpoint(  # noqa: PLR0913 - the columns that tests choose
        self,
        url: str,
        *,
        tenant: str = "acme",
        events: tuple[str, ...] = ("job.completed", "job.failed", "job.cancelled"),
        contents: str = "thin",
        enabled: bool = True,
        secret: str = SECRETS[0],
    ) -> UUID:
        endpoint_id = new_id()
        await self.database.execute(ADD_ENDPOINT, endpoint_id, tenant, url, list(events), contents, enabled)
        await self.database.execute(ADD_SECRET, endpoint_id, tenant, secret, None)
        return endpoint_id

    async def job(self, webhook_url: str | None = None, *webhooks: dict[str, Any]) -> ClaimedTask:
        """Insert a job. Return its first task, claimed."""
        job_id = new_id()
        task_id = new_task_id(job_id)
        stored = json.dumps(webhooks) if webhooks else None
        await self.database.execute(INSERT_JOB, job_id, "acme", webhook_url, stored)
        await self.database.execute("INSERT INTO tasks (id, job_id, kind) VALUES ($1, $2, 'prepare')", task_id, job_id)
        return await self.claim_task(task_id)

    async def ended(self, webhook_url: str | None = None, *webhooks: dict[str, Any], fails: bool = False) -> list[UUID]:
        """Let a job end. Return its deliver tasks."""
        task = await self.job(webhook_url, *webhooks)
        if not fails:
            transcript = b'{"text":"Hello"}'
            await self.blobs.put(blob_keys.transcript(task.job_id, 1), transcript)
        return await self.end(task, fails=fails)

    async def end(self, task: ClaimedTask, *, fails: bool = False) -> list[UUID]:
        after = await settle(self.database, task, FAILED if fails else JobDone(()), policy=POLICY)
        assert {one.kind for one in after.dispatches} <= {TaskKind.DELIVER}
        return [one.task_id for one in after.dispatches]

    async def again(self, job_id: UUID) -> list[UUID]:
        """Let a job that has ended run and end once more, as a later generation. Return its deliver tasks."""
        task_id = new_task_id(job_id)
        await self.database.execute(
            "UPDATE jobs SET status = 'QUEUED', generation = generation + 1, completed_at = NULL WHERE id = $1", job_id
        )
        await self.database.execute(
            "INSERT INTO tasks (id, job_id, kind, generation) "
            "SELECT $1, id, 'prepare', generation FROM jobs WHERE id = $2",
            task_id, job_id,
        )  # fmt: skip
        return await self.end(await self.claim_task(task_id))

    async def attempt(self, task_id: UUID, **values: Any) -> Delivery | LeaseLost:
        settings = world_settings(**values)
        return await deliver(await self.claim_task(task_id), self.database, self.http, settings, self.blobs)

    async def delivered(self, task_id: UUID, **values: Any) -> tuple[Any, AfterCommit]:
        """Make an attempt and settle it."""
        task = await self.claim_task(task_id)
        try:
            outcome: Any = await deliver(task, self.database, self.http, world_settings(**values), self.blobs)
        except Exception as error:  # noqa: BLE001 - as the leases do
            outcome = Failed(Failure(code=getattr(error, "code", FailureCode.INTERNAL), message=str(error)))
        return outcome, await settle(self.database, task, outcome, policy=POLICY)

    async def due(self, task_id: UUID) -> None:
        await self.database.execute("UPDATE tasks SET state = 'dispatched', not_before = NULL WHERE id = $1", task_id)


def world_settings(**values: Any) -> ProcessorSettings:
    return settings_with(**{"webhook_secret": Secret(SERVICE), **values})


@pytest_asyncio.fixture
async def world(database: asyncpg.Pool, claim_task: Claim, blobs: BlobStore) -> AsyncIterator[World]:
    async with open_webhook_session(world_settings()) as http:
        yield World(database, claim_task, blobs, http)


async def test_each_target_gets_the_event_with_an_id_and_a_signature_of_its_own(world: World) -> None:
    async with contextlib.AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(Endpoint(answering(status(204))).listening()) for _ in range(5)]
        ids = [
            await world.endpoint(urls[3].url, secret=SECRETS[0]),
            await world.endpoint(urls[4].url, secret=SECRETS[1]),
        ]
        own = {"url": urls[1].url, "secret": OWN}
        tasks = await world.ended(urls[0].url, own, {"url": urls[2].url, "events": ["job.completed"]})
        for task_id in tasks:
            assert isinstance((await world.delivered(task_id))[0], Delivered)
    received = [one.received for one in urls]
    assert [len(each) for each in received] == [1] * 5
    sent = [each[0] for each in received]
    event = sent[0].headers["webhook-id"]
    endings = ["", "_w0", "_w1", *(f"_{one.hex}" for one in ids)]
    assert [one.headers["webhook-id"] for one in sent] == [event + ending for ending in endings]
    for request, secret in zip(sent, [SERVICE, OWN, SERVICE, *SECRETS], strict=True):
        assert [is_signed_with(one, request) for one in (SERVICE, OWN, *SECRETS)] == [
            one == secret for one in (SERVICE, OWN, *SECRETS)
        ]
    assert len({request.body for request in sent}) == 1
    (job_id,) = {(await task_row(world.database, one))["job_id"] for one in tasks}
    low, high = jobs_of(tasks)
    assert low <= job_id <= high
    attempts = await world.database.fetch("SELECT target FROM webhook_attempts ORDER BY id")
    assert {row["target"] for row in attempts} == {None, "w0", "w1", *(one.hex for one in ids)}


async def test_only_targets_that_want_the_event_get_a_task(world: World) -> None:
    url = "http://127.0.0.1:1/"
    await world.endpoint(url, enabled=False)
    await world.endpoint(url, tenant="globex")
    await world.endpoint(url, events=("job.completed",))
    paused = await world.endpoint(url)
    await world.database.execute("UPDATE webhook_endpoints SET paused_at = now() WHERE id = $1", paused)
    wanted = {"url": url, "events": ["job.completed", "job.cancelled"]}
    assert await world.ended(None, wanted, fails=True) == []
    assert await world.database.fetchval("SELECT count(*) FROM webhook_events") == 0
    assert len(await world.ended(None, wanted)) == 2
    assert len(await world.ended(None, {"url": url, "events": ["job.failed"]}, fails=True)) == 1


async def test_the_transcript_is_in_the_body_up_to_a_size(world: World) -> None:
    async with Endpoint(answering(status(204))).listening() as endpoint:
        await world.endpoint(endpoint.url, contents="transcript")
        (fits,), (too_large,), (failed,) = await world.ended(), await world.ended(), await world.ended(fails=True)
        (erased,) = await world.ended()
        job_id = (await task_row(world.database, erased))["job_id"]
        await world.database.execute("UPDATE jobs SET erased_at = now() WHERE id = $1", job_id)
        await world.attempt(fits, webhook_transcript_bytes=16)
        await world.attempt(too_large, webhook_transcript_bytes=15)
        await world.attempt(failed)
        await world.attempt(erased)
        data = [json.loads(request.body)["data"] for request in endpoint.received]
    assert [(one["transcript"], one["transcript_too_large"]) for one in data] == [
        ({"text": "Hello"}, False),
        (None, True),
        (None, False),
        (None, False),
    ]
    assert all(one["links"]["transcript"].endswith("/transcript") and "error" in one for one in data)
    assert is_signed_with(SECRETS[0], endpoint.received[0])


async def test_events_of_a_job_arrive_in_order_at_each_target(world: World) -> None:
    async with (
        Endpoint(answering(status(500))).listening() as failing,
        Endpoint(answering(status(204))).listening() as fine,
    ):
        await world.endpoint(failing.url)
        first = await world.ended(fine.url)
        job_id = (await task_row(world.database, first[0]))["job_id"]
        outcomes = [(await world.delivered(task_id))[0] for task_id in first]
        assert [type(one) for one in outcomes] == [Delivered, NotDelivered]
        later = await world.again(job_id)
        outcome, after = await world.delivered(later[0])
        assert isinstance(outcome, Delivered)
        outcome, after = await world.delivered(later[1])
        assert isinstance(outcome, Postponed)
        assert after.due_in_s is not None
        assert 50 < after.due_in_s < 75
        for _ in range(2):  # the earlier event becomes a dead letter
            await world.due(first[1])
            await world.delivered(first[1])
        assert (await task_row(world.database, first[1]))["state"] == "dead"
        await world.due(later[1])
        assert isinstance((await world.delivered(later[1]))[0], NotDelivered)
    ids = [request.headers["webhook-id"].split("_")[2] for request in failing.received]
    assert ids == ["1", "1", "1", "2"]
    assert [request.headers["webhook-id"].split("_")[2] for request in fine.received] == ["1", "2"]


async def test_an_endpoint_that_fails_for_long_is_paused_and_gets_no_more(world: World) -> None:
    async with Endpoint(answering(status(503))).listening() as endpoint:
        endpoint_id = await world.endpoint(endpoint.url)
        tasks = [(await world.ended())[0] for _ in range(4)]
        await world.delivered(tasks[0])
        row = await world.database.fetchrow(OF_ENDPOINT, endpoint_id)
        assert (row["failing_since"] is not None, row["paused_at"]) == (True, None)
        await world.delivered(tasks[1])
        assert dict(await world.database.fetchrow(OF_ENDPOINT, endpoint_id)) == dict(row)  # nothing was written
        _, after = await world.delivered(tasks[2], webhook_pause_after_s=0.000001)
        assert after.endpoint_is_paused
        row = await world.database.fetchrow(OF_ENDPOINT, endpoint_id)
        assert (row["paused_at"] is not None, row["enabled"]) == (True, True)
        assert row["paused_reason"] == "The webhook endpoint answered 503."
        assert await world.ended() == []
        outcome, after = await world.delivered(tasks[3])
        assert isinstance(outcome, Failed)
        assert outcome.failure.message == "The webhook endpoint is paused: The webhook endpoint answered 503."
        assert after.has_dead_letter
    assert endpoint.hits == 3


async def test_a_delivery_ends_the_failing_and_410_pauses_at_once(world: World) -> None:
    async with (
        Endpoint(answering(status(204))).listening() as fine,
        Endpoint(answering(status(410))).listening() as gone,
    ):
        failing, ended = await world.endpoint(fine.url), await world.endpoint(gone.url)
        await world.database.execute("UPDATE webhook_endpoints SET failing_since = now() - interval '1 day'")
        first, second = await world.ended()
        assert not (await world.delivered(first))[1].endpoint_is_paused
        assert (await world.delivered(second))[1].endpoint_is_paused
    assert (await world.database.fetchrow(OF_ENDPOINT, failing))["failing_since"] is None
    assert (await world.database.fetchrow(OF_ENDPOINT, ended))["paused_reason"] == "The webhook endpoint is gone (410)."


@pytest.mark.parametrize(
    "change", ["DELETE FROM webhook_endpoints", "UPDATE webhook_endpoints SET enabled = false, paused_reason = 'x'"]
)
async def test_deliveries_of_a_deleted_or_disabled_endpoint_are_dropped(world: World, change: str) -> None:
    async with Endpoint(answering(status(204))).listening() as endpoint:
        await world.endpoint(endpoint.url)
        (task_id,) = await world.ended()
        await world.database.execute(change)
        outcome, after = await world.delivered(task_id)
    assert isinstance(outcome, Dropped)
    assert (await task_row(world.database, task_id))["state"] == "done"
    assert (after.has_dead_letter, endpoint.hits) == (False, 0)


async def test_an_endpoint_that_hangs_delays_no_other_of_its_host(world: World) -> None:
    async with Endpoint(stalling()).listening() as hanging, Endpoint(answering(status(204))).listening() as fine:
        await world.endpoint(hanging.url)
        held = [(await world.ended())[0] for _ in range(13)]
        await world.database.execute("UPDATE webhook_endpoints SET enabled = false")
        await world.endpoint(fine.url)
        (other,) = await world.ended()
        await world.database.execute("UPDATE webhook_endpoints SET enabled = true")
        under_way = [asyncio.create_task(world.attempt(task_id)) for task_id in held[:12]]
        async with asyncio.timeout(20):
            while len(hanging.received) < 12:  # noqa: ASYNC110 - polls
                await asyncio.sleep(0.01)
        assert isinstance(await world.attempt(held[12]), Postponed)
        assert isinstance(await world.attempt(other), Delivered)
        for one in under_way:
            one.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
    assert (hanging.hits, fine.hits) == (12, 1)


async def test_a_test_event_is_signed_with_the_endpoints_secrets_and_resumes_it(world: World) -> None:
    async with Endpoint(answering(status(204))).listening() as endpoint:
        endpoint_id = await world.endpoint(endpoint.url, secret=SECRETS[0])
        await world.database.execute(
            "UPDATE webhook_endpoints SET failing_since = now(), paused_at = now(), paused_reason = 'x'"
        )
        await world.database.execute("UPDATE webhook_endpoint_secrets SET expires_at = now() + interval '1 hour'")
        await world.database.execute(ADD_SECRET, endpoint_id, "acme", SECRETS[1], None)
        await world.database.execute(
            "INSERT INTO webhook_tests (id, tenant, url, host, endpoint_id) VALUES ($1, 'acme', '', '127.0.0.1', $2)",
            new_id(), endpoint_id,
        )  # fmt: skip
        async with EventTester.opened(world.database, world.http, world.settings) as tester:
            await run_locked(world.database, "webhook_tests", tester)
            await tester.sent()
    (sent,) = endpoint.received
    assert [is_signed_with(secret, sent) for secret in (*SECRETS, SERVICE)] == [True, True, False]
    row = await world.database.fetchrow(OF_ENDPOINT, endpoint_id)
    assert (row["failing_since"], row["paused_at"], row["paused_reason"]) == (None, None, None)


async def test_a_webhook_costs_as_many_statements_as_before(database_url: str, world: World) -> None:
    """The end of a job is one statement with or without webhooks; a delivery reads, begins and settles."""
    asked: list[str] = []

    async def watch(connection: asyncpg.Connection) -> None:
        connection.add_query_logger(lambda record: asked.append(record.query))

    async with (
        Endpoint(answering(status(204))).listening() as endpoint,
        asyncpg.create_pool(database_url, min_size=1, max_size=1, init=watch) as counted,
    ):
        first, plain, one = await world.job(), await world.job(), await world.job(endpoint.url)
        await settle(counted, first, JobDone(()), policy=POLICY)  # the driver reads the types once
        asked.clear()
        await settle(counted, plain, JobDone(()), policy=POLICY)
        assert len(_statements(asked)) == 1
        asked.clear()
        (dispatch,) = (await settle(counted, one, JobDone(()), policy=POLICY)).dispatches
        assert len(_statements(asked)) == 1
        asked.clear()
        task = await world.claim_task(dispatch.task_id)
        outcome = await deliver(task, counted, world.http, world.settings, world.blobs)
        assert isinstance(outcome, Delivered)
        await settle(counted, task, outcome, policy=POLICY)
    assert len(_statements(asked)) == 3


def _statements(asked: list[str]) -> list[str]:
    """Without what the pool does with a connection that it takes back."""
    return [one for one in asked if "pg_advisory_unlock_all" not in one]


async def test_an_older_version_finds_no_event_for_a_target(world: World) -> None:
    """It reads the input, and would send to `webhook_url`."""
    await world.endpoint("http://127.0.0.1:1/")
    first, second = await world.ended("http://127.0.0.1:1/")
    found = "SELECT EXISTS (SELECT FROM webhook_events WHERE id = (SELECT input->>'event_id' FROM tasks WHERE id = $1))"
    assert [await world.database.fetchval(found, one) for one in (first, second)] == [True, False]
