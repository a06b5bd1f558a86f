"""A processor without free disk space says so, fails no job, and continues when there is space."""

from pathlib import Path

import asyncpg

from deploy.local.postgres import Postgres
from deploy.local.valkey import Valkey
from tests.support.audio.amplified import repeating_mov
from tests.support.databases import TEMPLATE, new_database
from tests.support.ingest.serving import until
from tests.support.ingest.sounds import wav
from tests.support.metrics.pair import Pair, running_pair
from tests.support.metrics.scraped import Scraped
from tests.support.storage.files_below import files_below

MORE_THAN_ANY_DISK = str(1 << 60)
DUE = "UPDATE tasks SET not_before = now() WHERE state = 'waiting'"


async def _metrics(pair: Pair) -> Scraped:
    return Scraped((await pair.texts())[pair.processor_url])


async def test_jobs_wait_for_disk_space_and_are_then_completed(
    postgres: Postgres, valkey: Valkey, tmp_path: Path
) -> None:
    async with new_database(postgres, TEMPLATE) as url:
        async with running_pair(url, valkey.url, tmp_path, MIN_FREE_BYTES=MORE_THAN_ANY_DISK) as pair:
            jobs = [await pair.client.submit(wav(16_000)) for _ in range(4)]

            async def waits() -> bool:
                return (await _metrics(pair)).get("headrace_processor_disk_waits_total") >= 1

            await until(waits, timeout_s=30)
            metrics = await _metrics(pair)
            assert metrics.get("headrace_processor_disk_full", disk="scratch") == 1
            assert metrics.get("headrace_processor_disk_full", disk="storage") == 1
            assert metrics.get("headrace_processor_disk_free_bytes", disk="storage") > 0
            assert metrics.get("headrace_processor_failures_total", code="storage_full") >= 1
            async with pair.client.http.get(f"{pair.processor_url}/health/ready") as ready:
                assert (ready.status, (await ready.json())["away"]) == (503, ["disk:scratch", "disk:storage"])
            states = sorted([(await pair.client.job(job))["status"] for job in jobs])
            assert states == ["PROCESSING", "QUEUED", "QUEUED", "QUEUED"]  # one was claimed to probe
        await _make_due(url)
        async with running_pair(url, valkey.url, tmp_path) as pair:
            assert {(await pair.client.ended(job))["status"] for job in jobs} == {"COMPLETED"}


async def _make_due(url: str) -> None:
    connection = await asyncpg.connect(url)
    (row,) = await connection.fetch("SELECT attempts, crashes, failure->>'code' FROM tasks WHERE state = 'waiting'")
    assert tuple(row) == (0, 0, "storage_full")
    await connection.execute(DUE)
    await connection.close()


async def test_a_job_beyond_its_budget_fails_and_leaves_only_its_source(
    postgres: Postgres, valkey: Valkey, tmp_path: Path
) -> None:
    repeating_mov(tmp_path / "repeating.mov", repeats=5000)
    limits = {"CHUNK_THRESHOLD_S": "60", "CHUNK_S": "20"}
    async with new_database(postgres, TEMPLATE) as url, running_pair(url, valkey.url, tmp_path, **limits) as pair:
        job = await pair.client.ended(await pair.client.submit(tmp_path / "repeating.mov"))

        assert (job["status"], job["error"]["code"]) == ("FAILED", "too_much_audio")
        assert "67108864 bytes" in job["error"]["message"]
        blobs = tmp_path / "blobs"

        async def only_the_source() -> bool:
            return [path.name.endswith("source") for path in files_below(blobs)] == [True]

        await until(only_the_source, timeout_s=30)
        assert await pair.client.ended(await pair.client.submit(wav(16_000)))
