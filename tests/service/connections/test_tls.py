"""TLS to PostgreSQL and Redis: a server without a valid certificate gets no password.

Jobs over TLS are tested in test_pgbouncer.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from redis.exceptions import ConnectionError as RedisConnectionError

from deploy.local.servers import running
from ingest_service.settings import IngestSettings
from processor_service.tasks.arq_worker import connect
from shared.connections.redis import open_redis
from shared.secret import Secret
from shared.telemetry.logs import JsonFormatter
from tests.support.connections.certificates import Certificates
from tests.support.connections.pgbouncer import pooled
from tests.support.connections.tls_postgres import TlsPostgres, use_installed
from tests.support.connections.tls_redis import TlsRedis, TlsSentinel
from tests.support.ingest.serving import serving
from tests.support.ingest.sounds import wav

pytestmark = pytest.mark.process


@pytest_asyncio.fixture
async def redis(tmp_path: Path, certificates: Certificates) -> AsyncIterator[TlsRedis]:
    async with running(TlsRedis(tmp_path, certificates)) as server:
        yield server


@pytest_asyncio.fixture
async def postgres_url(settings: IngestSettings, certificates: Certificates, tmp_path: Path) -> AsyncIterator[str]:
    """A URL with TLS. PgBouncer adds TLS to the embedded PostgreSQL."""
    async with pooled(
        tmp_path, settings.database_url.reveal(), certificates, mode="session", connections=40
    ) as pgbouncer:
        yield pgbouncer.url


@pytest.mark.parametrize("wrong", ["authority", "name"])
async def test_a_postgres_with_an_invalid_certificate_gets_no_password(
    settings: IngestSettings,
    postgres_url: str,
    certificates: Certificates,
    caplog: pytest.LogCaptureFixture,
    wrong: str,
) -> None:
    ca = certificates.wrong_ca if wrong == "authority" else certificates.ca
    host = postgres_url if wrong == "authority" else postgres_url.replace("@localhost:", "@127.0.0.1:")
    url = f"{host}?sslmode=verify-full&sslrootcert={ca}"
    async with serving(settings, database_url=Secret(url), database_pooler="session") as ingest:
        status, problem = await ingest.post(wav(), headers={"Content-Type": "audio/wav"})
        assert (status, problem["code"]) == (503, "database_unavailable")
    lines = "".join(JsonFormatter().format(record) for record in caplog.records)
    assert "certificate verify failed" in lines
    assert settings.database_url.reveal().partition("@")[0] not in lines  # it contains the password


@pytest.mark.parametrize("wrong", ["authority", "name"])
async def test_a_redis_with_an_invalid_certificate_gets_no_password(
    redis: TlsRedis, certificates: Certificates, wrong: str
) -> None:
    url = (
        redis.url.replace(str(certificates.ca), str(certificates.wrong_ca))
        if wrong == "authority"
        else redis.url.replace("@localhost:", "@127.0.0.1:")
    )
    for client in (open_redis(url), connect(url)):
        async with client:
            with pytest.raises(RedisConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
                await client.ping()
            await client.connection_pool.disconnect()
    async with open_redis(redis.url) as client:
        assert await client.ping()


async def test_sentinels_are_queried_over_tls(redis: TlsRedis, certificates: Certificates, tmp_path: Path) -> None:
    async with running(TlsSentinel(tmp_path, certificates, redis)) as sentinel:
        url = sentinel.master_url
        for client in (open_redis(url), connect(url)):
            async with client:
                assert await client.ping()
                await client.connection_pool.disconnect()
        wrong = url.replace(str(certificates.ca), str(certificates.wrong_ca))
        async with open_redis(wrong) as client:
            with pytest.raises(RedisConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
                await client.ping()


async def test_a_postgres_with_tls(certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_installed(monkeypatch)
    async with running(TlsPostgres(tmp_path, certificates)) as server:
        connection = await asyncpg.connect(server.url)
        (row,) = await connection.fetch("SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        assert (row["ssl"], row["version"]) == (True, "TLSv1.3")
        await connection.close()
        plain = server.plain_url("headrace")
        refused = {
            f"{plain}?sslmode=disable": "no encryption",
            f"{plain}?sslmode=verify-full&sslrootcert={certificates.wrong_ca}": "certificate verify failed",
            server.url.replace("@localhost:", "@127.0.0.1:"): "mismatch",
        }
        for url, reason in refused.items():
            with pytest.raises((asyncpg.InvalidAuthorizationSpecificationError, OSError), match=reason):
                await asyncpg.connect(url, timeout=10)
