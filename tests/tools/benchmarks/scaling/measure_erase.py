"""Measures how fast jobs are erased by age, with a real PostgreSQL, from memory and from a real S3 server (SeaweedFS).

One worker, without the pauses between its runs. Each job has a source, a denoised copy, a transcript and a waveform.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import asyncpg

from deploy.local.data_dir import stored_password
from deploy.local.postgres import Postgres
from deploy.local.processes import Processes
from deploy.local.servers import running
from deploy.migrate import migrate
from processor_service.maintenance.erase import Eraser, Retention
from processor_service.maintenance.loop import run_locked
from shared.blobs import blob_keys
from shared.blobs.blob_store import BlobStore
from shared.ids import SPREADING, new_id
from tests.support.storage.bucket import Bucket
from tests.support.storage.seaweedfs import SeaweedFS
from tests.support.storage.stores import environment
from tests.tools.benchmarks.scaling.count_requests import CountingFront
from tests.tools.benchmarks.scaling.measured import MEMORY, Erasing

JOBS = 5000
COUNTED_JOBS = 1000  # through the proxy, which would slow the measurement
PUTS_AT_ONCE = 32
AGE_S = 60.0

MADE = (blob_keys.denoised, blob_keys.transcript, blob_keys.peaks)

ADD_JOBS = """
INSERT INTO jobs (
    id, status, options, container, source_bytes, source_sha256, duration_s, peaks_generation, completed_at)
SELECT id, 'COMPLETED', '{"language":"en"}', 'wav', 4, 'ab', 30, 1, now() - interval '1 hour'
FROM unnest($1::uuid[]) AS id
"""
ADD_TASKS = "INSERT INTO tasks (id, job_id, kind, state) SELECT gen_random_uuid(), id, 'prepare', 'done' FROM jobs"
LEFT = "SELECT count(*) FROM jobs WHERE blobs_erased_at IS NULL"


async def measure_erase() -> dict[str, Erasing]:
    """Measure on separate servers. The names of the stores are memory and SeaweedFS."""
    async with _servers() as (postgres, bucket_server):
        front = CountingFront(bucket_server.url)
        async with front.listening():
            os.environ.update(environment(front.url))
            counted = await _bucket(front.url, "counted")
            await _erase(postgres, "counted", BlobStore(counted.url), COUNTED_JOBS, front)
            a_thousand = {name: front.counted[name] * 1000 / COUNTED_JOBS for name in ("post", "list", "delete")}
        os.environ.update(environment(bucket_server.url))
        bucket = await _bucket(bucket_server.url, "erased")
        took = {
            MEMORY: await _erase(postgres, "in_memory", BlobStore("memory:///"), JOBS),
            "SeaweedFS": await _erase(postgres, "in_bucket", BlobStore(bucket.url), JOBS),
        }
    return {
        name: Erasing(jobs_a_s=round(JOBS / took_s), cpu_s=round(cpu_s / JOBS, 6), **a_thousand)
        for name, (took_s, cpu_s) in took.items()
    }


@asynccontextmanager
async def _servers() -> AsyncIterator[tuple[Postgres, SeaweedFS]]:
    with tempfile.TemporaryDirectory(prefix="headrace-scaling-") as name:
        folder, password = Path(name), Path(name) / "password"
        stored_password(password)
        async with (
            running(Postgres(folder / "postgres", password, Processes())) as postgres,
            running(SeaweedFS(folder / "bucket", Processes())) as server,
        ):
            yield postgres, server
        server.tidy()


async def _bucket(endpoint: str, prefix: str) -> Bucket:
    bucket = Bucket(endpoint, "headrace", prefix)
    assert await bucket.make()
    return bucket


async def _erase(
    postgres: Postgres, name: str, blobs: BlobStore, jobs: int, front: CountingFront | None = None
) -> tuple[float, float]:
    """Return the seconds, and this process's CPU seconds, from the first erased row to the last deleted blob."""
    owner = await asyncpg.connect(postgres.url)
    await owner.execute(f"CREATE DATABASE {name}")
    await owner.close()
    await migrate(postgres.database_url(name))
    async with asyncpg.create_pool(postgres.database_url(name), min_size=1, max_size=2) as pool:
        await _fill(pool, blobs, [new_id(SPREADING) for _ in range(jobs)])
        eraser = Eraser(blobs, Retention(jobs_s=AGE_S, audio_s=0, webhook_log_s=AGE_S), lease_s=0)
        if front:
            front.counted.clear()
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        while await pool.fetchval(LEFT):
            await run_locked(pool, "erase", eraser)
        return time.perf_counter() - began_s, time.process_time() - began_cpu_s


async def _fill(pool: asyncpg.Pool, blobs: BlobStore, ids: list[UUID]) -> None:
    await pool.execute(ADD_JOBS, ids)
    await pool.execute(ADD_TASKS)
    await pool.execute("ANALYZE")
    at_once = asyncio.Semaphore(PUTS_AT_ONCE)

    async def put(job_id: UUID) -> None:
        async with at_once:
            for key in (blob_keys.source(job_id), *(key(job_id, 1) for key in MADE)):
                await blobs.put_small(key, b"x" * 1000)

    await asyncio.gather(*map(put, ids))


if __name__ == "__main__":
    print(asyncio.run(measure_erase()))
