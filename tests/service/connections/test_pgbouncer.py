"""Both services through a PgBouncer with four connections in transaction mode."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import msgspec
import pytest
import pytest_asyncio

from deploy.local.servers import running
from deploy.migrate import migrate
from deploy.schema.migration import MigrationError
from ingest_service.auth import key_cache
from ingest_service.settings import IngestSettings
from processor_service.database import opened
from shared.connections.postgres import PoolerFoundError
from shared.secret import Secret
from shared.telemetry.logs import JsonFormatter
from tests.service.ingest.test_remembered_keys import remembers, revoke_directly
from tests.support.connections.certificates import Certificates
from tests.support.connections.pgbouncer import PgBouncer, pooled
from tests.support.connections.tls_redis import TlsRedis
from tests.support.ingest.api_keys import WAV_TYPE, bearer, guarded, new_key, status_of
from tests.support.ingest.serving import Ingest, serving, until
from tests.support.ingest.sounds import wav
from tests.support.metrics.pair import running_processor
from tests.support.servers import as_owner

LONG_S = 3600.0
JOBS = 8  # more than there are connections


@pytest_asyncio.fixture
async def pgbouncer(settings: IngestSettings, certificates: Certificates, tmp_path: Path) -> AsyncIterator[PgBouncer]:
    async with pooled(tmp_path, settings.database_url.reveal(), certificates) as pgbouncer:
        yield pgbouncer


@pytest.fixture
def pooler_settings(settings: IngestSettings, pgbouncer: PgBouncer) -> IngestSettings:
    """The services' settings with PgBouncer and without a direct URL."""
    return msgspec.structs.replace(settings, database_url=Secret(pgbouncer.url), database_pooler="transaction")


@asynccontextmanager
async def requiring_keys(
    settings: IngestSettings, pooler_settings: IngestSettings, direct_url: str
) -> AsyncIterator[Ingest]:
    """An ingest that requires keys, through the pooler. The test itself queries the database directly."""
    async with guarded(pooler_settings, database_direct_url=Secret(direct_url)) as ingest:
        ingest.record_url = as_owner(settings.database_url.reveal())
        yield ingest


async def test_jobs_are_completed_over_tls_and_tenants_are_separate(
    settings: IngestSettings, pooler_settings: IngestSettings, certificates: Certificates, tmp_path: Path
) -> None:
    ours, theirs = (await new_key(settings, "acme")).key, (await new_key(settings, "globex")).key
    url = f"{pooler_settings.database_url.reveal()}?sslmode=verify-full&sslrootcert={certificates.ca}"
    async with running(TlsRedis(tmp_path, certificates)) as redis:
        tls_settings = msgspec.structs.replace(pooler_settings, database_url=Secret(url), redis_url=Secret(redis.url))
        pooler = {"DATABASE_POOLER": tls_settings.database_pooler, "SLOTS": "1"}
        async with (
            running_processor(tls_settings, pooler),
            requiring_keys(settings, tls_settings, settings.database_url.reveal()) as ingest,
        ):
            keys = (ours, theirs) * (JOBS // 2)
            jobs = await asyncio.gather(*(submit(ingest, key) for key in keys))
            for key, job_id in zip(keys, jobs, strict=True):
                await until(lambda key=key, job_id=job_id: has(ingest, key, job_id, "COMPLETED"), timeout_s=60)
            seen = [await status_of(ingest, theirs, f"/v1/jobs/{job_id}") for job_id in jobs]
            assert seen == [404, 200] * (JOBS // 2)
            await cancel_a_running_job(ingest, ours)
    await assert_clean_sessions(pooler_settings.database_url.reveal())


async def cancel_a_running_job(ingest: Ingest, key: str) -> None:
    """The only slot becomes free long before the job would have ended."""
    long = await submit(ingest, key, prompt="SLOW 600")
    await until(lambda: has(ingest, key, long, "PROCESSING"), timeout_s=60)
    status, job = await ingest.post(None, path=f"/v1/jobs/{long}/cancel", headers=bearer(key))
    assert (status, job["status"]) == (200, "CANCELLED")
    after = await submit(ingest, key)
    await until(lambda: has(ingest, key, after, "COMPLETED"), timeout_s=60)


async def submit(ingest: Ingest, key: str, **options: str) -> str:
    status, job = await ingest.post(wav(64_000), params={"denoise": "false", **options}, headers=WAV_TYPE | bearer(key))
    assert status == 202, job
    return str(job["job_id"])


async def has(ingest: Ingest, key: str, job_id: str, status: str) -> bool:
    _, job = await ingest.get(f"/v1/jobs/{job_id}", headers=bearer(key))
    assert job["status"] not in {"FAILED", "CANCELLED"}, job
    return bool(job["status"] == status)


async def assert_clean_sessions(url: str) -> None:
    """Assert for each connection: no tenant is set, no row is visible, nothing is locked or prepared."""
    connections = [await asyncpg.connect(url, statement_cache_size=0) for _ in range(4)]
    try:
        for connection in connections:  # each holds one of the four until the end
            await connection.execute("BEGIN")
        seen = {tuple(await connection.fetchrow(SESSION_STATE)) for connection in connections}
        assert len({await connection.fetchval("SELECT pg_backend_pid()") for connection in connections}) == 4
        assert seen <= {("", 0, 0, 0, 0), (None, 0, 0, 0, 0)}
    finally:
        for connection in connections:
            connection.terminate()


SESSION_STATE = """
    SELECT current_setting('headrace.tenant', true), (SELECT count(*) FROM jobs),
           (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
           (SELECT count(*) FROM pg_listening_channels()), (SELECT count(*) FROM pg_prepared_statements)
"""


async def test_a_revoked_key_is_removed_from_the_cache_through_the_direct_url(
    settings: IngestSettings, pooler_settings: IngestSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_cache, "MAX_AGE_S", LONG_S)  # else the key would expire from the cache
    made = await new_key(settings, "acme")
    async with requiring_keys(settings, pooler_settings, settings.database_url.reveal()) as ingest:
        await until(lambda: remembers(ingest, made.key))
        await revoke_directly(settings, made.key_id)
        await until(lambda: is_refused(ingest, made.key))


@pytest.mark.parametrize("direct", [False, True], ids=["no direct URL", "a direct URL of the pooler"])
async def test_without_a_listener_each_request_queries_the_key(
    settings: IngestSettings, pooler_settings: IngestSettings, monkeypatch: pytest.MonkeyPatch, *, direct: bool
) -> None:
    monkeypatch.setattr(key_cache, "MAX_AGE_S", LONG_S)
    made = await new_key(settings, "acme")
    async with requiring_keys(
        settings, pooler_settings, pooler_settings.database_url.reveal() if direct else ""
    ) as ingest:
        for _ in range(3):
            assert await status_of(ingest, made.key) == 200
        await revoke_directly(settings, made.key_id)
        assert await status_of(ingest, made.key) == 401


async def is_refused(ingest: Ingest, key: str) -> bool:
    return await status_of(ingest, key) == 401


async def test_an_undeclared_pooler_is_refused(
    pooler_settings: IngestSettings, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(pooler_settings, database_pooler="none") as ingest:
        status, problem = await ingest.post(wav(), headers=WAV_TYPE)
        assert (status, problem["code"]) == (503, "database_unavailable")
        assert "HEADRACE_DATABASE_POOLER" not in str(problem)  # only operators see the setting
        _, ready = await ingest.get("/health/ready")
        assert ready["away"] == ["database"]
    with pytest.raises(PoolerFoundError, match="HEADRACE_DATABASE_POOLER"):
        await opened(pooler_settings.database_url.reveal(), max_size=1, command_timeout_s=5).__aenter__()
    assert "HEADRACE_DATABASE_POOLER" in "".join(JsonFormatter().format(record) for record in caplog.records)


async def test_a_pooler_in_session_mode_works_like_a_direct_connection(
    settings: IngestSettings, certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_cache, "MAX_AGE_S", LONG_S)
    made = await new_key(settings, "acme")
    async with (
        pooled(tmp_path, settings.database_url.reveal(), certificates, mode="session", connections=25) as pgbouncer,
        guarded(settings, database_url=Secret(pgbouncer.url), database_pooler="session") as ingest,
    ):
        ingest.record_url = as_owner(settings.database_url.reveal())
        await until(lambda: remembers(ingest, made.key))
        await revoke_directly(settings, made.key_id)
        await until(lambda: is_refused(ingest, made.key))


async def test_keys_are_created_through_it_repeatedly(pooler_settings: IngestSettings) -> None:
    command = ("-m", "ingest_service.auth", "create", "--tenant", "acme", "--scopes", "read", "--purpose")
    environ = {**os.environ, "HEADRACE_DATABASE_URL": pooler_settings.database_url.reveal()}
    for purpose in ("one", "two"):  # each process numbers its prepared statements from one
        made = await asyncio.create_subprocess_exec(sys.executable, *command, purpose, env=environ)
        assert await made.wait() == 0


async def test_a_migration_through_it_is_refused(pooler_settings: IngestSettings) -> None:
    with pytest.raises(MigrationError, match="through a pooler"):
        await migrate(pooler_settings.database_url.reveal())
