"""The checker's connection to the database: as superuser, without the proxy, with retries during outages."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import asyncpg

from deploy.migrate import migrate

AUDIT = Path(__file__).with_name("audit.sql")
ROLE = "headrace_service"
RETRY_FOR_S = 60.0
STATEMENT_S = 20.0
UNAVAILABLE = (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.OperatorInterventionError)

FOREIGN_TENANT = "other-tenant"
INSERT_FOREIGN = """
WITH job AS (
    INSERT INTO jobs (id, tenant, status, options, container, source_bytes, source_sha256, error_code, error_message,
        completed_at, webhook_url)
    VALUES (gen_random_uuid(), $1, 'FAILED', '{}', 'wav', 4, 'foreign', 'internal', 'Foreign.', now(), 'http://127.0.0.1:1/')
    RETURNING id
), task AS (
    INSERT INTO tasks (id, job_id, kind, state, attempts, failure, first_failed_at, last_failed_at, finished_at)
    SELECT gen_random_uuid(), id, 'prepare', 'dead', 1, '{"code": "internal", "message": "Foreign."}',
        now(), now(), now() FROM job
), event AS (
    INSERT INTO webhook_events (id, job_id, generation, type, body)
    SELECT 'evt_foreign', id, 1, 'job.failed', '{}' FROM job
)
SELECT id FROM job
"""
EMPTY = "TRUNCATE jobs, tasks, webhook_events, webhook_attempts, uploads CASCADE; TRUNCATE chaos_audit"


class Record:
    """SQL for the checker. A statement is repeated if its connection breaks, so it must be idempotent."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection: asyncpg.Connection | None = None
        self._lock = asyncio.Lock()

    async def prepare(self, password: str) -> None:
        """Create the schema, owned by the services' ordinary role, and the audit, owned by the superuser."""
        await self.fetch(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{password}'")
        await self.fetch(f"ALTER DATABASE headrace OWNER TO {ROLE}")
        await migrate(self.service_url(password))
        await self.script(AUDIT.read_text())

    def service_url(self, password: str, port: int | None = None, who: str = "") -> str:
        """Return the database URL for a service: its role, perhaps a proxy's port, and its name for the audit."""
        host = self.url.rpartition("@")[2]
        if port is not None:
            host = f"127.0.0.1:{port}/headrace"
        return f"postgresql://{ROLE}:{password}@{host}" + (f"?chaos.who={who}" if who else "")

    async def empty(self) -> None:
        """Delete all jobs, then insert one of another tenant."""
        while True:
            try:
                await self.script(EMPTY)
                break
            except asyncpg.DeadlockDetectedError:  # with a statement of the services, which go on
                await asyncio.sleep(0.1)
        await self.fetch(INSERT_FOREIGN, FOREIGN_TENANT)

    async def fetch(self, statement: str, *arguments: Any) -> list[Any]:
        async with self._lock, asyncio.timeout(RETRY_FOR_S):
            while True:
                try:
                    connection = await self._open()
                    return list(await connection.fetch(statement, *arguments, timeout=STATEMENT_S))
                except UNAVAILABLE:
                    await self._drop()
                    await asyncio.sleep(0.1)

    async def value(self, statement: str, *arguments: Any) -> Any:
        rows = await self.fetch(statement, *arguments)
        return rows[0][0] if rows else None

    async def script(self, statements: str) -> None:
        async with self._lock:
            await (await self._open()).execute(statements)

    async def close(self) -> None:
        await self._drop()

    async def _open(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(self.url, timeout=5)
        return self._connection

    async def _drop(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(*UNAVAILABLE):
                self._connection.terminate()
        self._connection = None
