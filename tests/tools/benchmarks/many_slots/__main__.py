"""`python -m tests.tools.benchmarks.many_slots`: 2,000 slots of 20 processors and a backlog of a million tasks.

PostgreSQL, Valkey and the processors are real; the slots sleep. It measures what a job costs while all slots are busy,
kills a fifth of the processors, and waits until their tasks run elsewhere. Prints one JSON object; fails if a task was
taken twice.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import msgspec
from redis.asyncio import Redis

from deploy.local.data_dir import stored_password
from deploy.local.postgres import Postgres
from deploy.local.processes import Processes
from deploy.local.servers import running
from deploy.local.valkey import Valkey
from deploy.migrate import migrate
from tests.tools.benchmarks.ingest.process_tree import Tree
from tests.tools.benchmarks.many_slots.backlog import even_tenants, write_backlog

MODULE = "tests.tools.benchmarks.many_slots.scripted_processor"
FULL_WITHIN_S, RECOVERED_WITHIN_S = 600.0, 120.0
LEASE_S = 15.0
SERVER_SETTINGS = {
    "shared_preload_libraries": "'pg_stat_statements'",
    "pg_stat_statements.track": "'top'",
    "max_connections": "1000",
    "shared_buffers": "'512MB'",
}

RUNNING = "SELECT count(*)::int FROM tasks WHERE state = 'running'"
HELD = "SELECT id, lease_token FROM tasks WHERE state = 'running' AND leased_by LIKE ANY($1::text[])"
STILL_HELD = """
SELECT count(*)::int FROM unnest($1::uuid[], $2::bigint[]) AS held (id, token) JOIN tasks t ON t.id = held.id
WHERE t.state IN ('running', 'dispatched') AND (t.state = 'dispatched' OR t.lease_token = held.token)
"""
DONE = """
SELECT j.tenant, count(*)::int AS done FROM tasks t JOIN jobs j ON j.id = t.job_id WHERE t.state = 'done' GROUP BY 1
"""
TAKEN_TWICE = """
SELECT count(*)::int FROM tasks WHERE state IN ('running', 'done') AND lease_token > 1 AND id <> ALL($1::uuid[])
"""
COUNTERS = """
SELECT (SELECT sum(calls)::float FROM pg_stat_statements) AS statements,
       (SELECT count(*)::float FROM pg_stat_activity WHERE application_name LIKE 'headrace%') AS connections
"""


class Figures(msgspec.Struct, kw_only=True):
    """Costs are for one job while all slots are busy. The times are seconds."""

    slots: int
    backlog: int
    jobs_per_s: float
    postgres_cpu_ms: float
    redis_cpu_ms: float
    processor_cpu_ms: float
    redis_commands: float
    statements: float
    connections: int
    fewest_of_a_tenant: int
    most_of_a_tenant: int
    redis_mb: float
    postgres_mb: float
    processor_mb: float
    killed_tasks: int
    recovery_s: float
    taken_twice: int


class Servers(NamedTuple):
    """The servers of a run, with a connection to each."""

    database: Any
    redis: Redis
    database_url: str
    redis_url: str
    postgres_pid: int
    redis_pid: int


class Bench:
    """The servers and processors of one run."""

    def __init__(self, arguments: argparse.Namespace, folder: Path, servers: "Servers") -> None:
        self.arguments = arguments
        self.folder = folder
        self.servers = servers
        self.database = servers.database
        self.processors: list[Process] = []

    async def run(self) -> Figures:
        args = self.arguments
        slots = args.processors * args.slots
        await write_backlog(self.servers.database_url, self.servers.redis, args.backlog)
        try:
            for number in range(args.processors):
                self.processors.append(await self._start(number))
            await self._until_full(slots)
            figures = await self._measure()
            killed = await self._kill(args.processors // 5)
        finally:
            await self._stop()
        recovery_s, ids = killed
        return Figures(
            **figures,
            slots=slots,
            backlog=args.backlog,
            killed_tasks=len(ids),
            recovery_s=round(recovery_s, 1),
            taken_twice=await self.database.fetchval(TAKEN_TWICE, ids),
        )

    async def _start(self, number: int) -> Process:
        scratch = self.folder / f"scratch-{number}"
        scratch.mkdir()
        environ = os.environ | {
            "HEADRACE_DATABASE_URL": self.servers.database_url,
            "HEADRACE_REDIS_URL": self.servers.redis_url,
            "HEADRACE_STORAGE_URL": (self.folder / "blobs").as_uri(),
            "HEADRACE_SCRATCH_DIR": str(scratch),
            "HEADRACE_TRANSCRIBER": "scripted",
            "HEADRACE_SLOTS": str(self.arguments.slots),
            "HEADRACE_LEASE_S": str(LEASE_S),
            "HEADRACE_LOG_LEVEL": "ERROR",
            "MANY_SLOTS_TASK_S": str(self.arguments.task_s),
        }
        return await asyncio.create_subprocess_exec(sys.executable, "-m", MODULE, env=environ, stdout=sys.stderr)

    async def _until_full(self, slots: int) -> None:
        async with asyncio.timeout(FULL_WITHIN_S):
            while (running := await self.database.fetchval(RUNNING)) < 0.95 * slots:
                _say(f"{running:,} of {slots:,} slots busy")
                await asyncio.sleep(2)

    async def _measure(self) -> dict[str, Any]:
        before, began_s = await self._counters(), time.monotonic()
        await asyncio.sleep(self.arguments.seconds)
        after, took_s = await self._counters(), time.monotonic() - began_s
        tenants = [after["done"].get(one, 0) - before["done"].get(one, 0) for one in even_tenants()]
        jobs = max(1, sum(tenants))
        cost = {name: (after[name] - before[name]) / jobs for name in after if name not in ("done", "connections")}
        return {
            "jobs_per_s": round(jobs / took_s, 1),
            "postgres_cpu_ms": round(1e3 * cost["postgres_cpu_s"], 2),
            "redis_cpu_ms": round(1e3 * cost["redis_cpu_s"], 3),
            "processor_cpu_ms": round(1e3 * cost["processor_cpu_s"], 2),
            "redis_commands": round(cost["redis_commands"], 1),
            "statements": round(cost["statements"], 1),
            "connections": int(after["connections"]),
            "fewest_of_a_tenant": min(tenants),
            "most_of_a_tenant": max(tenants),
            "redis_mb": _mb(Tree.of(self.servers.redis_pid)),
            "postgres_mb": _mb(Tree.of(self.servers.postgres_pid)),
            "processor_mb": round(sum(_mb(Tree.of(one.pid)) for one in self.processors) / len(self.processors), 1),
        }

    async def _counters(self) -> dict[str, Any]:
        info = await self.servers.redis.info("stats")
        return {
            "done": {row["tenant"]: row["done"] for row in await self.database.fetch(DONE)},
            "redis_commands": float(info["total_commands_processed"]),
            "postgres_cpu_s": Tree.of(self.servers.postgres_pid).cpu_s(),
            "redis_cpu_s": Tree.of(self.servers.redis_pid).cpu_s(),
            "processor_cpu_s": sum(Tree.of(one.pid).cpu_s() for one in self.processors),
            **dict(await self.database.fetchrow(COUNTERS)),
        }

    async def _kill(self, count: int) -> tuple[float, list[Any]]:
        """Kill processors. Return the time until other ones run or have ended all their tasks, and those tasks' ids."""
        killed = self.processors[:count]
        for process in killed:
            process.send_signal(signal.SIGKILL)
        began_s = time.monotonic()
        held = await self.database.fetch(HELD, [f"%:{process.pid}" for process in killed])
        ids, tokens = [row["id"] for row in held], [row["lease_token"] for row in held]
        _say(f"killed {count} processors with {len(ids)} tasks")
        async with asyncio.timeout(RECOVERED_WITHIN_S):
            while await self.database.fetchval(STILL_HELD, ids, tokens):  # noqa: ASYNC110 - in other processes
                await asyncio.sleep(0.25)
        return time.monotonic() - began_s, ids

    async def _stop(self) -> None:
        for process in self.processors:
            if process.returncode is None:
                process.kill()
        await asyncio.gather(*(process.wait() for process in self.processors))


@asynccontextmanager
async def _opened(arguments: argparse.Namespace, folder: Path) -> AsyncIterator[Bench]:
    """Start both servers with a migrated database."""
    password, processes = folder / "password", Processes()
    stored_password(password)
    server = Postgres(folder / "postgres", password, processes)
    async with running(server):
        await _configure(server.url)
    async with running(server) as postgres, running(Valkey(folder / "valkey", password, processes)) as valkey:
        await migrate(postgres.url)
        database = await asyncpg.connect(postgres.url)
        try:
            await database.execute("CREATE EXTENSION pg_stat_statements")
            async with Redis.from_url(valkey.url) as redis:
                postgres_pid = int((folder / "postgres" / "postmaster.pid").read_text().split()[0])
                redis_pid = int((await redis.info("server"))["process_id"])
                servers = Servers(database, redis, postgres.url, valkey.url, postgres_pid, redis_pid)
                yield Bench(arguments, folder, servers)
        finally:
            await database.close()


async def _configure(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for name, value in SERVER_SETTINGS.items():
            await connection.execute(f"ALTER SYSTEM SET {name} = {value}")
    finally:
        await connection.close()


async def _main(arguments: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="headrace-many-slots-") as name:
        Path(name).chmod(0o711)  # noqa: ASYNC240 - instant; the database server has another user
        async with _opened(arguments, Path(name)) as bench:
            figures = await bench.run()
    print(msgspec.json.encode(figures).decode())
    return 1 if figures.taken_twice else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.tools.benchmarks.many_slots", description=__doc__)
    parser.add_argument("--processors", type=int, default=20)
    parser.add_argument("--slots", type=int, default=100, help="of each processor")
    parser.add_argument("--backlog", type=int, default=1_000_000, help="jobs that wait")
    parser.add_argument("--task-s", type=float, default=20.0, help="how long a slot sleeps for a job")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long it measures")
    return parser.parse_args()


def _mb(tree: Tree) -> float:
    return round(tree.resident_bytes() / 2**20, 1)


def _say(line: str) -> None:
    print(f"bench {time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(asyncio.run(_main(_arguments())))
