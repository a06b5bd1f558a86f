"""Measures the cost of one job, chunk or webhook in PostgreSQL and Redis by their counters, before and after many.

The cost of an idle processor is measured first and subtracted. PostgreSQL's counters lag by some seconds.
"""

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import msgspec
from redis.asyncio import Redis

from tests.support.acceptance.client import Client, Receiver
from tests.support.acceptance.long_audio import write_long_audio
from tests.support.clips import JFK
from tests.support.stack.launched import Launched
from tests.tools.benchmarks.ingest.process_tree import Tree
from tests.tools.benchmarks.scaling.measured import StoreCosts

SHORT_JOBS = 200
WEBHOOKS = 60
LONG_JOBS = 3
LONG_S = 300.0
CHUNK_S = 60.0
IDLE_S = 15.0
REPORT_DELAY_S = 11.0  # an idle backend reports its counters within ten seconds
TABLES = ("jobs", "tasks", "webhook_events", "webhook_attempts")
# Exclude from the counters: whole pages that PostgreSQL writes after a checkpoint, and autovacuum.
SETTINGS = {
    "shared_preload_libraries": "'pg_stat_statements'",
    "pg_stat_statements.track": "'top'",
    "full_page_writes": "off",
    "autovacuum": "off",
}

COUNTERS = """
SELECT coalesce(sum(n_tup_ins), 0)::float AS inserted, coalesce(sum(n_tup_upd), 0)::float AS updated,
       coalesce(sum(n_tup_hot_upd), 0)::float AS hot, coalesce(sum(n_tup_del), 0)::float AS deleted,
       (SELECT xact_commit::float FROM pg_stat_database WHERE datname = current_database()) AS transactions,
       (SELECT coalesce(sum(calls), 0)::float FROM pg_stat_statements) AS statements,
       (pg_current_wal_insert_lsn() - '0/0')::float AS wal_bytes
FROM pg_stat_user_tables
"""
CHUNKS = "SELECT count(*)::int FROM tasks WHERE kind = 'chunk'"
LEFT = "SELECT count(*)::int FROM tasks WHERE state NOT IN ('done', 'dead', 'cancelled')"


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """The costs; units as in measured.py."""

    short_job: StoreCosts
    chunk: StoreCosts
    long_job: StoreCosts
    webhook: StoreCosts
    idle: StoreCosts


Counts = dict[str, float]

# Of the partitions that have rows: empty ones have empty indexes.
BYTES_A_ROW = """
SELECT (
    SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('{table}') WHERE pg_relation_size(relid) > 0
)::float / count(*) FROM {table}
"""


async def count_costs() -> Costs:
    """Measure on a separate stack without other work."""
    with tempfile.TemporaryDirectory(prefix="headrace-scaling-") as name:
        folder = Path(name)
        await asyncio.to_thread(write_long_audio, folder / "short.flac", duration_s=LONG_S)
        await asyncio.to_thread(write_long_audio, folder / "long.flac", duration_s=2 * LONG_S)
        environ = {
            "PROCESSORS": "1",
            "HEADRACE_TRANSCRIBER": "scripted",
            "HEADRACE_SLOTS": "2",
            "HEADRACE_LEASE_S": "600",  # a heartbeat every two minutes only; sizing.py adds heartbeats
            "HEADRACE_CHUNK_S": str(CHUNK_S),
            "HEADRACE_CHUNK_THRESHOLD_S": str(CHUNK_S),
        }
        async with (stack := Launched(folder / "stack", environ=environ)).ready():
            await _count_statements(stack)
            database = await asyncpg.connect(stack.settings()["HEADRACE_DATABASE_URL"])
            try:
                async with aiohttp.ClientSession(stack.url, timeout=aiohttp.ClientTimeout(total=None)) as http:
                    return await _Counting(stack, Client(http), database).count(folder)
            finally:
                await database.close()


async def _count_statements(stack: Launched) -> None:
    """Enable pg_stat_statements. It needs a restart of PostgreSQL, which the launcher does."""
    url = stack.settings()["HEADRACE_DATABASE_URL"]
    connection = await asyncpg.connect(url)
    for name, value in SETTINGS.items():
        await connection.execute(f"ALTER SYSTEM SET {name} = {value}")
    await connection.close()
    os.kill(stack.pids()["postgres"], signal.SIGINT)
    async with asyncio.timeout(60):
        while True:
            await asyncio.sleep(0.5)
            try:
                connection = await asyncpg.connect(url)
            except (OSError, asyncpg.PostgresError):
                continue
            if await connection.fetchval("SHOW shared_preload_libraries") == "pg_stat_statements":
                break
            await connection.close()
    await connection.execute("CREATE EXTENSION pg_stat_statements")
    await connection.close()


class _Counting:
    """Counts on one stack."""

    def __init__(self, stack: Launched, client: Client, database: Any) -> None:
        self._database = database
        self._stack = stack
        self._client = client
        self._idle: Counts = {}
        self._polls = 0  # of this test, to subtract

    async def count(self, folder: Path) -> Costs:
        await self._process([JFK.path] * 4)
        await self._process([folder / "short.flac"])
        before, began_s = await self._counters(), time.monotonic()
        await asyncio.sleep(IDLE_S)
        after = await self._counters()
        elapsed_s = time.monotonic() - began_s
        self._idle = {name: (after[name] - before[name]) / elapsed_s for name in after}

        short = await self._measure([JFK.path] * SHORT_JOBS)
        half, half_chunks = await self._chunks_of([folder / "short.flac"] * LONG_JOBS)
        whole, whole_chunks = await self._chunks_of([folder / "long.flac"] * LONG_JOBS)
        chunk = {name: (whole[name] - half[name]) / (whole_chunks - half_chunks) for name in half}
        long_job = {name: (half[name] - chunk[name] * half_chunks) / LONG_JOBS for name in half}
        async with Receiver(self._stack.settings()["HEADRACE_WEBHOOK_SECRET"]).listening() as receiver:
            delivered = await self._measure([JFK.path] * WEBHOOKS, webhook_url=receiver.url)
        short = {name: value / SHORT_JOBS for name, value in short.items()}
        webhook = {name: value / WEBHOOKS - short[name] for name, value in delivered.items()}
        bytes_of = await self._bytes_a_row()
        job, task = bytes_of["jobs"], bytes_of["tasks"]
        stored = (job + task, task, job + 2 * task, sum(bytes_of.values()) - job, 0.0)
        costs = [
            {**cost, "stored_bytes": size}
            for cost, size in zip((short, chunk, long_job, webhook, self._idle), stored, strict=True)
        ]
        return Costs(**dict(zip(Costs.__struct_fields__, map(_costs, costs), strict=True)))

    async def _chunks_of(self, files: Sequence[Path]) -> tuple[Counts, int]:
        before = await self._fetchval(CHUNKS)
        cost = await self._measure(files)
        return cost, await self._fetchval(CHUNKS) - before

    async def _measure(self, files: Sequence[Path], **options: Any) -> Counts:
        await self._fetchval("VACUUM")
        before, began_s, self._polls = await self._counters(), time.monotonic(), 0
        await self._process(files, **options)
        after = await self._counters()
        elapsed_s = time.monotonic() - began_s
        cost = {name: after[name] - before[name] - self._idle[name] * elapsed_s for name in after}
        for name in ("statements", "transactions"):
            cost[name] -= self._polls
        return cost

    async def _bytes_a_row(self) -> Counts:
        """Return the bytes of a row by table, indexes included, after VACUUM FULL."""
        await self._fetchval("VACUUM FULL")
        sizes = {}
        for table in TABLES:
            sizes[table] = await self._fetchval(BYTES_A_ROW.format(table=table))
        return sizes

    async def _process(self, files: Sequence[Path], **options: Any) -> None:
        gate = asyncio.Semaphore(8)

        async def submit(path: Path) -> None:
            async with gate:
                await self._client.submit(path, denoise=False, **options)

        await asyncio.gather(*map(submit, files))
        async with asyncio.timeout(600):
            while await self._fetchval(LEFT):
                self._polls += 1
                await asyncio.sleep(2)

    async def _counters(self) -> Counts:
        await asyncio.sleep(REPORT_DELAY_S)
        counted: Counts = dict(await self._database.fetchrow(COUNTERS))
        async with Redis.from_url(self._stack.settings()["HEADRACE_REDIS_URL"]) as redis:
            stats = await redis.info("stats")
            counted["redis_commands"] = float(stats["total_commands_processed"])
            counted["redis_requests"] = float(stats["total_reads_processed"])
        counted["postgres_cpu_s"] = Tree.of(self._stack.pids()["postgres"]).cpu_s()
        return counted

    async def _fetchval(self, query: str) -> Any:
        return await self._database.fetchval(query)


def _costs(counts: Counts) -> StoreCosts:
    return StoreCosts(**{name: round(value, 6 if name.endswith("_s") else 2) for name, value in counts.items()})


if __name__ == "__main__":
    print(msgspec.json.format(msgspec.json.encode(asyncio.run(count_costs())), indent=1).decode())
