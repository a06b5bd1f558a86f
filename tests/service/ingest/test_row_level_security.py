"""Row-level security: the services' role sees only rows of the tenants that its transaction names."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from deploy.local.postgres import ROLE, create_service_role
from deploy.migrate import migrate
from ingest_service.database import Database, begun
from ingest_service.settings import IngestSettings
from ingest_service.uploads.commit import JobRecorder
from processor_service.database import opened
from shared.connections.postgres import Pooler
from shared.connections.tenancy import ALL_TENANTS, begin
from tests.service.ingest.test_record_jobs import row as job_row
from tests.support.ingest.api_keys import WAV_TYPE, bearer, guarded, new_key
from tests.support.ingest.sounds import wav
from tests.support.servers import SERVICE_PASSWORD, as_role

ACME, GLOBEX = "acme", "globex"

# A row of each table for a tenant, whose name is $1.
FILL = """
    WITH tenant AS (INSERT INTO tenants (name) VALUES ($1) RETURNING name),
    key AS (
        INSERT INTO api_keys (id, tenant, purpose, digest, scopes)
        SELECT left(md5(name), 16), name, 'test', sha256(name::bytea), '{read}' FROM tenant
        RETURNING id, tenant, digest),
    job AS (
        INSERT INTO jobs (id, tenant, options) SELECT gen_random_uuid(), name, '{}' FROM tenant RETURNING id, tenant),
    task AS (INSERT INTO tasks (id, job_id, kind) SELECT gen_random_uuid(), id, 'deliver' FROM job RETURNING id),
    event AS (
        INSERT INTO webhook_events (id, job_id, generation, type, body)
        SELECT 'evt_' || tenant, id, 1, 'job.completed', '{}' FROM job RETURNING id),
    edits AS (
        INSERT INTO transcript_edits (job_id, version, generation, text_generation, changes, bytes, edits)
        SELECT id, 1, 1, 1, 0, 2, '{}' FROM job),
    texts AS (
        INSERT INTO transcript_texts (job_id, number, tenant, config, body, segments, words)
        SELECT id, 0, tenant, 'simple', '', '[]', '' FROM job),
    attempt AS (INSERT INTO webhook_attempts (event_id, task_id) SELECT event.id, task.id FROM event, task),
    upload AS (
        INSERT INTO uploads (id, tenant, expires_at) SELECT gen_random_uuid(), name, now() FROM tenant RETURNING id),
    test AS (INSERT INTO webhook_tests (id, tenant, url, host) SELECT gen_random_uuid(), name, '', '' FROM tenant),
    endpoint AS (
        INSERT INTO webhook_endpoints (id, tenant, url, host, events, contents, enabled, description)
        SELECT gen_random_uuid(), name, '', '', '{}', 'thin', true, '' FROM tenant RETURNING id, tenant),
    endpoint_secret AS (
        INSERT INTO webhook_endpoint_secrets (endpoint_id, tenant, secret) SELECT id, tenant, 'x' FROM endpoint),
    direct AS (INSERT INTO direct_uploads (id, tenant) SELECT gen_random_uuid(), name FROM tenant),
    used AS (INSERT INTO tenant_usage (tenant, day, shard) SELECT name, usage_day(), 0 FROM tenant),
    quotas AS (INSERT INTO tenant_quotas (tenant) SELECT name FROM tenant),
    part AS (INSERT INTO upload_parts (upload_id, offset_bytes, bytes, lease_token) SELECT id, 0, 1, 0 FROM upload),
    vocabulary AS (INSERT INTO vocabularies (tenant, content) SELECT name, '{}' FROM tenant),
    session AS (
        INSERT INTO sessions (id, tenant, key_id, digest, expires_at)
        SELECT 's' || id, tenant, id, digest, now() FROM key)
    INSERT INTO idempotency_keys (tenant, key, claim, expires_at)
    SELECT name, 'key', gen_random_uuid(), now() FROM tenant
"""
A_COLUMN = {
    "tenants": "created_at",
    "api_keys": "purpose",
    "jobs": "filename",
    "tasks": "progress",
    "webhook_events": "body",
    "webhook_attempts": "status",
    "transcript_edits": "changes",
    "transcript_texts": "number",
    "uploads": "filename",
    "upload_parts": "bytes",
    "direct_uploads": "created_at",
    "idempotency_keys": "expires_at",
    "tenant_usage": "bytes",
    "tenant_quotas": "jobs_queued",
    "webhook_secrets": "expires_at",
    "sessions": "expires_at",
    "webhook_tests": "status",
    "webhook_endpoints": "paused_reason",
    "webhook_endpoint_secrets": "expires_at",
    "vocabularies": "content",
}
TABLES = tuple(A_COLUMN)


@pytest_asyncio.fixture
async def protected_url(database_url: str, service_database_url: str) -> AsyncIterator[str]:
    """The URL of the services' role, with rows of two tenants."""
    owner = await asyncpg.connect(database_url)
    try:
        await owner.execute("TRUNCATE tenants CASCADE")
        for tenant in (ACME, GLOBEX):
            await owner.execute(FILL, tenant)
        yield service_database_url
    finally:
        await owner.close()


@pytest_asyncio.fixture
async def service(protected_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(protected_url)
    try:
        yield connection
    finally:
        await connection.close()


async def count(connection: Any, table: str) -> int:
    return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))  # noqa: S608 - constants


async def test_every_table_has_row_level_security(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        rows = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' "
            "AND NOT (relrowsecurity AND relforcerowsecurity)"
        )
    finally:
        await connection.close()
    assert {row["relname"] for row in rows} == {"schema_migrations"}


async def test_the_leader_is_visible_for_all_tenants_only(service: asyncpg.Connection) -> None:
    """The table has no tenant: it belongs to the processors."""
    insert = "INSERT INTO maintenance_leaders VALUES ('maintenance', 0, 'one', now())"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with begun(service, ACME):
            await service.execute(insert)
    async with begun(service, ALL_TENANTS):
        await service.execute(insert)
    assert await count(service, "maintenance_leaders") == 0


@pytest.mark.parametrize("table", TABLES)
async def test_a_query_without_a_tenant_returns_no_row(service: asyncpg.Connection, table: str) -> None:
    assert await count(service, table) == 0  # no tenant is set: no row is visible
    async with begun(service, ACME):
        assert await count(service, table) == 1
    assert await count(service, table) == 0  # the setting ends with the transaction
    async with begun(service, ACME, GLOBEX):
        assert await count(service, table) == 2
    async with begun(service, ALL_TENANTS):
        assert await count(service, table) == 2
    async with begun(service, "unknown"):
        assert await count(service, table) == 0


@pytest.mark.parametrize("table", TABLES)
async def test_a_statement_without_a_tenant_changes_no_row(service: asyncpg.Connection, table: str) -> None:
    assert await service.execute(f"DELETE FROM {table}") == "DELETE 0"  # noqa: S608 - constants
    async with begun(service, ACME):
        column = A_COLUMN[table]
        assert await service.execute(f"UPDATE {table} SET {column} = {column}") == "UPDATE 1"  # noqa: S608 - constants


async def test_a_row_of_another_tenant_cannot_be_written(service: asyncpg.Connection) -> None:
    insert = "INSERT INTO jobs (id, tenant, options) VALUES (gen_random_uuid(), $1, '{}')"
    for tenant in ((ACME,), ("unknown",)):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with begun(service, *tenant):
                await service.execute(insert, GLOBEX)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await service.execute(insert, ACME)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with begun(service, ACME):
            await service.execute("UPDATE jobs SET tenant = $1", GLOBEX)


async def test_row_level_security_applies_to_the_owner_of_the_tables(empty_database_url: str) -> None:
    owner = await asyncpg.connect(empty_database_url)
    url = await create_service_role(empty_database_url, SERVICE_PASSWORD)
    try:
        await owner.execute(f"GRANT ALL ON SCHEMA public TO {ROLE}")
    finally:
        await owner.close()
    await migrate(url)
    connection = await asyncpg.connect(url)
    try:
        assert await count(connection, "tenants") == 0
        async with begun(connection, ALL_TENANTS):
            assert await count(connection, "tenants") == 1  # the local one
    finally:
        await connection.close()


@pytest.mark.parametrize("name", ["", "a,b", "x'; DROP TABLE jobs; --", "Ä", "a\n"])
def test_only_a_valid_tenant_name_gets_into_a_statement(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        begin("acme", name)


async def test_uploads_of_several_tenants_share_a_commit(protected_url: str) -> None:
    async with Database.opened(protected_url) as database:
        recorder = JobRecorder(database)
        sizes: list[int] = []
        recorder.on_batch = sizes.append
        rows = [job_row()._replace(tenant=tenant) for tenant in (ACME, GLOBEX) * 10]
        await asyncio.gather(*(recorder.record(row) for row in rows))
        assert max(sizes) > 1
        async with database.transaction(ACME) as connection:
            assert await count(connection, "jobs") == 11
            assert await count(connection, "tasks") == 11
        async with database.connection() as connection:
            assert await count(connection, "jobs") == 0


@pytest.mark.parametrize("pooler", ["session", "transaction"])
async def test_the_processor_sees_all_tenants_and_leaves_no_setting_behind(protected_url: str, pooler: Pooler) -> None:
    async with opened(protected_url, max_size=1, command_timeout_s=5, pooler=pooler) as pool:
        assert await count(pool, "jobs") == 2
        async with pool.acquire() as connection, connection.transaction():
            assert await count(connection, "tasks") == 2
        async with pool.acquire() as connection:
            said = await asyncpg.Connection.fetchval(connection._con, "SELECT current_setting('headrace.tenant', true)")
        assert not said


@pytest.mark.parametrize("role", [ROLE, "headrace_processor"])
async def test_a_statement_of_the_processor_needs_no_transaction(
    database_url: str, protected_url: str, role: str
) -> None:
    """By its role, through any pooler; with another role by the session of a direct connection."""
    await _make_processor_role(database_url)
    pooler: Pooler = "none" if role == ROLE else "transaction"
    url = protected_url if role == ROLE else as_role(database_url, f"{role}:{SERVICE_PASSWORD}")
    async with opened(url, max_size=1, command_timeout_s=5, pooler=pooler) as pool, pool.acquire() as connection:
        plain = partial(asyncpg.Connection.fetchval, connection._con)
        assert await plain("SELECT count(*) FROM tasks") == 2
        assert connection.sees_all_tenants


async def test_the_role_of_the_ingest_sees_no_row_without_a_tenant(database_url: str, protected_url: str) -> None:
    del protected_url  # its rows
    await _make_processor_role(database_url, name="headrace_ingest")
    connection = await asyncpg.connect(as_role(database_url, f"headrace_ingest:{SERVICE_PASSWORD}"))
    try:
        assert await count(connection, "jobs") == 0
    finally:
        await connection.close()


async def _make_processor_role(owner_url: str, name: str = "headrace_processor") -> None:
    """Roles belong to the server: another test may have made it."""
    owner = await asyncpg.connect(owner_url)
    try:
        if not await owner.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", name):
            await owner.execute(f"CREATE ROLE {name}")
        await owner.execute(f"ALTER ROLE {name} LOGIN PASSWORD '{SERVICE_PASSWORD}'")
        await owner.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}")
        await owner.execute(f"GRANT USAGE ON SCHEMA public TO {name}")
    finally:
        await owner.close()


async def test_the_queue_position_counts_the_jobs_of_all_tenants(settings: IngestSettings) -> None:
    own, other = (await new_key(settings, ACME)).key, (await new_key(settings, GLOBEX)).key
    async with guarded(settings) as ingest:
        for key in (other, own, own):
            status, job = await ingest.post(wav(), headers=WAV_TYPE | bearer(key))
            assert status == 202
        _, seen = await ingest.get(f"/v1/jobs/{job['job_id']}", headers=bearer(own))
        assert seen["queue_position"] == 3  # behind the first job of this tenant and one of the other
