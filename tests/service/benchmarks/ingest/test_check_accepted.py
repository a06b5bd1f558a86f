"""The check of accepted uploads finds each missing part, and nothing when all parts are present."""

from pathlib import Path
from uuid import UUID

import pytest
from redis.asyncio import Redis

from deploy.local.ports import free_port
from shared.blobs import blob_keys
from shared.queue.dispatch import COMPUTE_QUEUE
from tests.tools.benchmarks.ingest import check_accepted
from tests.tools.benchmarks.ingest.check_accepted import check_headrace
from tests.tools.benchmarks.ingest.contenders import HEADRACE, ServerConfig
from tests.tools.benchmarks.ingest.loads import SMALL_BYTES, Load
from tests.tools.benchmarks.ingest.orders import Mode
from tests.tools.benchmarks.ingest.put_load import put_load
from tests.tools.benchmarks.ingest.serving import serving
from tests.tools.benchmarks.ingest.storages import Storages

LOAD = Load(name="test", mode=Mode.AT_ONCE, audio_bytes=SMALL_BYTES, clients=6)


async def test_each_missing_part_is_found(
    tmp_path: Path, database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    storages = Storages(tmp_path, database_url, redis_url)
    storages.uploads.mkdir()
    config = ServerConfig(
        port=free_port(),
        processes=1,
        uploads=storages.uploads,
        scratch=tmp_path,
        database_url=database_url,
        redis_url=redis_url,
    )
    async with serving(HEADRACE, config, storages.log):
        outcome = await put_load(LOAD, config.port, processes=1)
    assert (len(outcome.accepted), await check_headrace(outcome.accepted, SMALL_BYTES, storages)) == (6, {})

    _, without_row = outcome.accepted[0]
    await storages.fetch("DELETE FROM jobs WHERE id = $1", UUID(without_row))
    (storages.uploads / blob_keys.source(UUID(outcome.accepted[1][1]))).write_bytes(b"other")
    async with Redis.from_url(redis_url) as redis:
        await _remove_dispatch(redis, storages, outcome.accepted[2][1])
    monkeypatch.setattr(check_accepted, "DISPATCHED_WITHIN_S", 0)
    number, job_id = outcome.accepted[3]
    accepted = [*outcome.accepted, (number, job_id)]

    faults = await check_headrace(accepted, SMALL_BYTES, storages)

    assert faults == {"no row": 1, "other bytes stored": 1, "not dispatched": 1, "id given twice": 1}


async def _remove_dispatch(redis: Redis, storages: Storages, job_id: str) -> None:
    (task,) = await storages.fetch("SELECT id, dispatch_no FROM tasks WHERE job_id = $1", UUID(job_id))
    assert await redis.zrem(COMPUTE_QUEUE, f"{task['id']}.{task['dispatch_no']}") == 1
