"""The PostgreSQL and Valkey that all contenders use: as durable as in a deployment, empty before each run."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
from redis.asyncio import Redis

from deploy.local.data_dir import DataDir, stored_password
from deploy.local.postgres import Postgres
from deploy.local.processes import Processes
from deploy.local.servers import running
from deploy.local.valkey import Valkey
from deploy.migrate import migrate
from tests.tools.benchmarks.ingest.process_tree import Tree
from tests.tools.benchmarks.ingest.usual_table import CREATE

DURABILITY = ("fsync", "synchronous_commit", "full_page_writes", "server_version")


class Storages:
    """Database, Redis and upload folder."""

    def __init__(self, folder: Path, database_url: str, redis_url: str) -> None:
        self.uploads = folder / "uploads"
        self.scratch = folder / "scratch"
        self.log = folder / "server.log"
        self.database_url = database_url
        self.redis_url = redis_url

    @classmethod
    @asynccontextmanager
    async def opened(cls, folder: Path) -> AsyncIterator["Storages"]:
        """Start both servers with their data in the folder."""
        data_dir, processes = DataDir(folder), Processes()
        data_dir.open()
        postgres_password, valkey_password = data_dir.secrets / "postgres", data_dir.secrets / "valkey"
        stored_password(postgres_password)
        stored_password(valkey_password)
        async with (
            running(Postgres(data_dir.postgres, postgres_password, processes)) as postgres,
            running(Valkey(data_dir.valkey, valkey_password, processes)) as valkey,
        ):
            await migrate(postgres.url)
            storages = cls(folder, postgres.url, valkey.url)
            await storages.execute(CREATE)
            yield storages

    async def empty(self) -> None:
        """Delete all data and flush the previous run's writes."""
        await self.execute("TRUNCATE jobs, tasks, usual_uploads CASCADE; CHECKPOINT")
        async with Redis.from_url(self.redis_url) as redis:
            await redis.flushall()
        for folder in (self.uploads, self.scratch):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()

    async def execute(self, statements: str) -> None:
        connection = await asyncpg.connect(self.database_url)
        try:
            await connection.execute(statements)
        finally:
            await connection.close()

    async def fetch(self, query: str, *arguments: Any) -> list[Any]:
        connection = await asyncpg.connect(self.database_url)
        try:
            return list(await connection.fetch(query, *arguments))
        finally:
            await connection.close()

    async def settings(self) -> dict[str, str]:
        """Return the settings that decide the durability of a commit."""
        return {name: str((await self.fetch(f"SHOW {name}"))[0][0]) for name in DURABILITY}

    async def tree(self) -> Tree:
        """Return the processes of both servers."""
        path = (await self.fetch("SHOW data_directory"))[0][0]
        postgres = int((Path(path) / "postmaster.pid").read_text().split()[0])
        async with Redis.from_url(self.redis_url) as redis:
            valkey = (await redis.info("server"))["process_id"]
        return Tree(Tree.of(postgres).pids | Tree.of(valkey).pids)
