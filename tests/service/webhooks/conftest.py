"""A finished job with a webhook event, its claimed deliver task, and one delivery attempt."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
import pytest_asyncio
from aiohttp.abc import AbstractResolver

from processor_service.settings import ProcessorSettings
from processor_service.tasks.claim import ClaimedTask
from processor_service.tasks.outcomes import Delivered, Delivery, LeaseLost, NotDelivered
from processor_service.webhooks.deliver import deliver
from processor_service.webhooks.send import open_webhook_session
from shared.blobs.blob_store import BlobStore
from shared.ids import new_id
from shared.schemas.states import JobStatus
from shared.schemas.webhook_events import DeliveryInput, EventType, event_body, event_id
from shared.secret import Secret
from tests.service.processor.conftest import Claim, claim_task, database

__all__ = ["claim_task", "database"]  # fixtures

SECRET = "whsec_bXktb3duLXNlY3JldC1vZi0yNC1ieXRlcw=="  # noqa: S105 - a test's

INSERT_JOB = """
INSERT INTO jobs (id, options, container, source_bytes, source_sha256, status, completed_at, webhook_url,
    webhook_secret)
VALUES ($1, '{}', 'wav', 4, 'ab', 'COMPLETED', now(), $2, $3) RETURNING completed_at
"""
INSERT_EVENT = "INSERT INTO webhook_events (id, job_id, generation, type, body) VALUES ($1, $2, 1, $3, $4)"
INSERT_TASK = "INSERT INTO tasks (id, job_id, kind, input) VALUES ($1, $2, 'deliver', $3)"

Outcome = Delivery | LeaseLost
ClaimDelivery = Callable[..., Awaitable[ClaimedTask]]
Attempt = Callable[..., Coroutine[Any, Any, Outcome]]
AttemptAt = Attempt


def settings_with(**values: Any) -> ProcessorSettings:
    """Return settings that allow webhooks to loopback, with a time-out of five seconds."""
    chosen = {"webhook_allow_private": "loopback", "webhook_timeout_s": 5.0, **values}
    return ProcessorSettings(database_url=Secret(""), redis_url=Secret(""), storage_url="", **chosen)


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(f"file://{tmp_path}/blobs")


@pytest.fixture
def claim_delivery(database: asyncpg.Pool, claim_task: Claim) -> ClaimDelivery:
    """Insert a finished job with a webhook event for a URL; claim its deliver task."""

    async def claim_one(url: str, *, secret: str | None = SECRET) -> ClaimedTask:
        job_id, task_id = new_id(), new_id()
        ended_at = await database.fetchval(INSERT_JOB, job_id, url, secret)
        identifier = event_id(job_id, 1, EventType.COMPLETED)
        body = event_body(job_id, JobStatus.COMPLETED, ended_at=ended_at, metadata_json='{"my":  "größe"}')
        await database.execute(INSERT_EVENT, identifier, job_id, EventType.COMPLETED, body)
        task_input = msgspec.json.encode(DeliveryInput(event_id=identifier)).decode()
        await database.execute(INSERT_TASK, task_id, job_id, task_input)
        return await claim_task(task_id)

    return claim_one


@pytest_asyncio.fixture
async def attempt(database: asyncpg.Pool, blobs: BlobStore) -> AsyncIterator[Attempt]:
    """Make one attempt at a claimed task, with given settings and a separate session."""
    async with contextlib.AsyncExitStack() as sessions:

        async def attempt_one(task: ClaimedTask, *, resolver: AbstractResolver | None = None, **values: Any) -> Outcome:
            settings = settings_with(**values)
            http = await sessions.enter_async_context(open_webhook_session(settings, resolver=resolver))
            return await deliver(task, database, http, settings, blobs)

        yield attempt_one


@pytest.fixture
def attempt_at(claim_delivery: ClaimDelivery, attempt: Attempt) -> AttemptAt:
    """Make one attempt to deliver a new event to a URL."""

    async def attempt_at_url(url: str, **values: Any) -> Outcome:
        return await attempt(await claim_delivery(url), **values)

    return attempt_at_url


def delivered(outcome: Outcome) -> Delivered:
    assert isinstance(outcome, Delivered), outcome
    return outcome


def not_delivered(outcome: Outcome) -> NotDelivered:
    assert isinstance(outcome, NotDelivered), outcome
    return outcome
