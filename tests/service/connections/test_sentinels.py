"""The Redis master dies while both services run. Jobs from before, during and after the failover are completed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from ingest_service.settings import IngestSettings
from processor_service.tasks.arq_worker import UNLIMITED, connect
from shared.connections.redis import open_redis
from shared.secret import Secret
from tests.support.connections.sentinels import Valkeys, watched_valkeys
from tests.support.ingest.serving import Ingest, serving, until
from tests.support.ingest.sounds import wav
from tests.support.metrics.pair import running_processor

pytestmark = pytest.mark.process


@pytest_asyncio.fixture
async def valkeys(tmp_path: Path) -> AsyncIterator[Valkeys]:
    async with watched_valkeys(tmp_path) as valkeys:
        yield valkeys


async def test_jobs_are_completed_when_the_master_dies(settings: IngestSettings, valkeys: Valkeys) -> None:
    sentinel_settings = msgspec.structs.replace(settings, redis_url=Secret(valkeys.url))
    async with running_processor(sentinel_settings, {"SLOTS": "1"}), serving(sentinel_settings) as ingest:
        running = await ingest.submit(wav(64_000), denoise="false", prompt="SLOW 3")
        await until(lambda: has_status(ingest, running, "PROCESSING"), timeout_s=60)
        waiting = [await ingest.submit(wav(64_000), denoise="false") for _ in range(3)]
        replica = await valkeys.kill_master()
        meanwhile = [await ingest.submit(wav(64_000), denoise="false") for _ in range(3)]
        await until(lambda: is_master(valkeys, replica), timeout_s=60)
        after = await ingest.submit(wav(64_000), denoise="false")
        for job_id in (running, *waiting, *meanwhile, after):
            await until(lambda job_id=job_id: has_status(ingest, job_id, "COMPLETED"), timeout_s=60)
        assert (await attempts(ingest))["failed"] == 0
        await until(lambda: is_ready(ingest), timeout_s=30)


async def has_status(ingest: Ingest, job_id: str, status: str) -> bool:
    _, job = await ingest.get(f"/v1/jobs/{job_id}")
    assert job["status"] not in {"FAILED", "CANCELLED"}, job
    return bool(job["status"] == status)


async def attempts(ingest: Ingest) -> Any:
    (row,) = await ingest.sql("SELECT sum(attempts + crashes) AS failed FROM tasks")
    return row


async def is_master(valkeys: Valkeys, port: int) -> bool:
    return await valkeys.master() == port


async def is_ready(ingest: Ingest) -> bool:
    _, ready = await ingest.get("/health/ready")
    return bool(ready["away"] == [])


async def test_the_new_master_is_found_with_and_without_retries(valkeys: Valkeys) -> None:
    async with (
        connect(valkeys.url, timeout_s=1, retries=UNLIMITED) as retrying,
        open_redis(valkeys.url, socket_timeout=1, socket_connect_timeout=1) as failing_fast,
    ):
        await asyncio.gather(retrying.set("before", "1"), failing_fast.set("before", "1"))
        await retrying.connection_pool.disconnect()
        replica = await valkeys.kill_master()
        waiting = asyncio.create_task(writes(retrying))  # the Sentinels name the dead master until they agree
        with pytest.raises(RedisConnectionError):
            await failing_fast.set("meanwhile", "1")
        assert await asyncio.wait_for(waiting, 60)
        await until(lambda: is_set(failing_fast), timeout_s=30)
        assert await valkeys.master() == replica
        await retrying.connection_pool.disconnect()


async def writes(redis: Redis) -> bool:
    return bool(await redis.set("after", "1"))


async def is_set(redis: Redis) -> bool:
    try:
        return await writes(redis)
    except RedisConnectionError:
        return False
