"""Tenants are spread over several Redis. One that is lost or frozen delays only its own; a new list loses nothing.

A job of another tenant that was dispatched again was late: the reconciler found it. So dispatch numbers show a wait.
"""

import io
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from ingest_service.settings import IngestSettings
from shared.queue.dispatch import COMPUTE_QUEUE
from shared.secret import Secret
from tests.support.connections.several_redis import OneRedis, several_redis, tenant_of, urls_of
from tests.support.ingest.api_keys import WAV_TYPE, bearer, guarded, new_key
from tests.support.ingest.serving import Ingest, until
from tests.support.ingest.sounds import wav
from tests.support.metrics.pair import running_processor

pytestmark = pytest.mark.process

ENDED_S = 60
TASKS = """
    SELECT t.dispatch_no, t.lease_token, t.attempts + t.crashes AS failed, t.state, j.tenant, j.status
    FROM tasks t JOIN jobs j ON j.id = t.job_id WHERE j.id = ANY($1::uuid[])
"""
LONG_AGO = "UPDATE tasks SET dispatched_at = now() - interval '1 minute'"  # so that the reconciler looks at them
PROCESSOR = {"SLOTS": "2", "LEASE_S": "5"}


class Tenants:
    """Clients of several tenants."""

    def __init__(self, settings: IngestSettings) -> None:
        self._settings = settings
        self._keys: dict[str, str] = {}

    async def submit(self, ingest: Ingest, tenant: str, prompt: str = "") -> str:
        if tenant not in self._keys:
            self._keys[tenant] = (await new_key(self._settings, tenant)).key
        query = {"denoise": "false"} | ({"prompt": prompt} if prompt else {})
        headers = WAV_TYPE | bearer(self._keys[tenant])
        status, body = await ingest.post(io.BytesIO(wav(64_000)), params=query, headers=headers)
        assert status == 202, body
        return str(body["job_id"])


@pytest_asyncio.fixture
async def servers(tmp_path: Path) -> AsyncIterator[list[OneRedis]]:
    async with several_redis(tmp_path, 3) as three:
        yield three


@pytest.fixture
def tenants(settings: IngestSettings) -> Tenants:
    return Tenants(settings)


def with_redis(settings: IngestSettings, servers: Sequence[OneRedis]) -> IngestSettings:
    return msgspec.structs.replace(settings, redis_url=Secret(urls_of(servers)))


async def tasks_of(ingest: Ingest, job_ids: Sequence[str]) -> list[Any]:
    return await ingest.sql(TASKS, list(job_ids))


async def until_ended(ingest: Ingest, job_ids: Sequence[str]) -> list[Any]:
    """Wait until all jobs are COMPLETED, each by one claim of one task. Return the tasks."""

    async def are_completed() -> bool:
        return {row["status"] for row in await tasks_of(ingest, job_ids)} == {"COMPLETED"}

    await until(are_completed, timeout_s=ENDED_S)
    rows = await tasks_of(ingest, job_ids)
    assert [(row["lease_token"], row["failed"], row["state"]) for row in rows] == [(1, 0, "done")] * len(job_ids)
    return rows


async def status_of(ingest: Ingest, job_id: str) -> str:
    return str((await tasks_of(ingest, [job_id]))[0]["status"])


async def waiting_in(server: OneRedis) -> int:
    async with Redis.from_url(server.url) as redis:
        return int(await redis.zcard(COMPUTE_QUEUE))


@pytest.mark.parametrize("fault", ["frozen", "lost"])
async def test_a_redis_that_does_not_answer_delays_only_its_own_tenants(
    settings: IngestSettings, servers: list[OneRedis], tenants: Tenants, fault: str
) -> None:
    settings = with_redis(settings, servers)
    ill, *well = servers
    delayed, others = tenant_of(ill, servers), [tenant_of(server, servers) for server in well]
    async with guarded(settings) as ingest, running_processor(settings, PROCESSOR) as processor:
        running = [await tenants.submit(ingest, delayed, "SLOW 3") for _ in range(2)]  # in all slots

        async def are_running() -> bool:
            return {row["status"] for row in await tasks_of(ingest, running)} == {"PROCESSING"}

        await until(are_running)
        if fault == "frozen":
            ill.freeze()
        else:
            await ill.kill()
        waiting = [await tenants.submit(ingest, delayed) for _ in range(3)]
        served = [await tenants.submit(ingest, tenant) for _ in range(4) for tenant in others]
        assert {row["dispatch_no"] for row in await until_ended(ingest, served)} == {1}
        await until_ended(ingest, running)  # they gave their slots back
        assert {row["status"] for row in await tasks_of(ingest, waiting)} == {"QUEUED"}
        _, ready = await ingest.get("/health/ready")
        assert (ready["ready"], ready["away"], ready["processors"]["status"]) == (True, ["redis"], "seen")
        async with ingest.client.get(f"{processor}/health/ready") as answer:
            assert (answer.status, await answer.json()) == (200, {"away": [f"redis:{ill.name}"]})
        if fault == "frozen":
            ill.thaw()
        else:
            await ill.restart()
        await until_ended(ingest, waiting)


async def test_one_more_redis_takes_new_jobs_and_waiting_ones_stay_where_they_are(
    settings: IngestSettings, servers: list[OneRedis], tenants: Tenants
) -> None:
    old, new = with_redis(settings, servers[:2]), with_redis(settings, servers)
    moved = [tenant_of(servers[2], servers, number) for number in range(3)]
    kept = [tenant_of(server, servers) for server in servers[:2]]
    async with guarded(old) as old_ingest, guarded(new) as new_ingest:
        waiting = [await tenants.submit(old_ingest, tenant) for _ in range(4) for tenant in (*moved, *kept)]

        async def are_enqueued() -> bool:
            return sum([await waiting_in(server) for server in servers[:2]]) == len(waiting)

        await until(are_enqueued)
        await old_ingest.sql(LONG_AGO)
        async with running_processor(new, PROCESSOR), running_processor(old, PROCESSOR):
            more = [await tenants.submit(ingest, tenant) for ingest in (old_ingest, new_ingest) for tenant in moved]
            assert {row["dispatch_no"] for row in await until_ended(new_ingest, waiting)} == {1}
            await until_ended(new_ingest, more)
    assert [await waiting_in(server) for server in servers] == [0, 0, 0]


async def test_the_tenants_of_a_removed_redis_move_to_the_others(
    settings: IngestSettings, servers: list[OneRedis], tenants: Tenants
) -> None:
    before, after = with_redis(settings, servers), with_redis(settings, servers[:2])
    moved, kept = tenant_of(servers[2], servers), tenant_of(servers[0], servers)
    async with guarded(before) as ingest:
        waiting = [await tenants.submit(ingest, tenant) for _ in range(4) for tenant in (moved, kept)]

        async def are_enqueued() -> bool:
            return [await waiting_in(server) for server in servers] == [4, 0, 4]

        await until(are_enqueued)
        async with running_processor(after, PROCESSOR):
            rows = await until_ended(ingest, waiting)
        assert {(row["tenant"], row["dispatch_no"]) for row in rows} == {(moved, 2), (kept, 1)}
        assert await waiting_in(servers[2]) == 4  # until it is in a list again
        async with running_processor(before, PROCESSOR):

            async def is_empty() -> bool:
                return await waiting_in(servers[2]) == 0

            await until(is_empty)
        await until_ended(ingest, waiting)  # not run twice
