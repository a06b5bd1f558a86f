"""Outages of Postgres: a 503, never a 202 without a job, and uploads again after the outage."""

import asyncio
import os
import signal
from urllib.parse import urlsplit, urlunsplit

from ingest_service.settings import IngestSettings
from shared.ids import new_id
from shared.secret import Secret
from tests.support.ingest.proxy import proxied, silent_server
from tests.support.ingest.serving import Ingest, serving, until
from tests.support.ingest.sounds import wav

CLOSED_PORT = "127.0.0.1:1"
WAV_TYPE = {"Content-Type": "audio/wav"}
NOT_READY = {"ready": False, "away": ["database"], "processors": {"status": "not_seen", "seen_s_ago": None}}


async def test_without_postgres_uploads_are_refused(settings: IngestSettings) -> None:
    async with serving(settings, database_url=Secret(f"postgresql://x@{CLOSED_PORT}/x")) as ingest:
        async with ingest.client.post(ingest.url + "/v1/jobs", data=wav(), headers=WAV_TYPE) as answer:
            assert answer.status == 503
            assert int(answer.headers["Retry-After"]) > 0
            assert (await answer.json(content_type=None))["code"] == "database_unavailable"
        assert ingest.stored_files() == []
        assert (await ingest.get("/v1/jobs"))[0] == 503
        assert await ingest.get("/health/ready") == (503, NOT_READY)
        assert (await ingest.get("/health/live"))[0] == 200


async def test_a_frozen_postgres_is_unavailable(settings: IngestSettings) -> None:
    async with (
        silent_server() as address,
        serving(settings, database_url=Secret(f"postgresql://x@{address}/x")) as ingest,
    ):
        async with asyncio.timeout(9):
            status, problem = await ingest.post(wav(), headers=WAV_TYPE)
        assert (status, problem["code"]) == (503, "database_unavailable")
        assert ingest.stored_files() == []


async def test_a_frozen_statement_is_rolled_back(settings: IngestSettings) -> None:
    """The statement reaches the backend, but its answer is lost. Its changes must be rolled back."""
    async with serving(settings) as ingest:
        await ingest.submit(wav())
        ours = "SELECT pid, xact_start FROM pg_stat_activity WHERE application_name = 'headrace-ingest'"
        backends = [row["pid"] for row in await ingest.sql(ours)]
        for backend in backends:
            os.kill(backend, signal.SIGSTOP)
        try:
            async with asyncio.timeout(20):
                status, problem = await ingest.post(wav(), headers=WAV_TYPE)
        finally:
            for backend in backends:
                os.kill(backend, signal.SIGCONT)
        assert (status, problem["code"]) == (503, "database_unavailable")

        async def is_over() -> bool:
            return not any(row["xact_start"] for row in await ingest.sql(ours))

        await until(is_over)
        assert (len(ingest.stored_files()), await ingest.job_count()) == (1, 1)
        await ingest.submit(wav())


async def test_broken_connections_are_replaced(settings: IngestSettings) -> None:
    async with serving(settings) as ingest:
        await ingest.submit(wav())
        await ingest.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'headrace%'"
        )

        async def taken() -> bool:
            return (await ingest.post(wav(), headers=WAV_TYPE))[0] == 202

        await until(taken)
        assert len(ingest.stored_files()) == await ingest.job_count()


async def refused(ingest: Ingest) -> None:
    """An upload gets 503 with Retry-After."""
    async with ingest.client.post(ingest.url + "/v1/jobs", data=wav(), headers=WAV_TYPE) as answer:
        assert (answer.status, (await answer.json(content_type=None))["code"]) == (503, "database_unavailable")
        assert int(answer.headers["Retry-After"]) > 0


async def back_within_10_s(ingest: Ingest) -> None:
    async def taken() -> bool:
        return (await ingest.post(wav(), headers=WAV_TYPE))[0] == 202

    await until(taken, timeout_s=10)


async def warm(ingest: Ingest) -> None:
    """Open several connections in the pool."""
    await asyncio.gather(*(ingest.submit(wav()) for _ in range(8)))


async def test_postgres_freezes_with_open_connections_and_resumes(settings: IngestSettings) -> None:
    async with (
        proxied(settings.database_url.reveal()) as postgres,
        serving(settings, database_url=Secret(postgres.url)) as ingest,
    ):
        await warm(ingest)
        postgres.freeze()
        async with asyncio.timeout(15):
            await asyncio.gather(*(refused(ingest) for _ in range(3)))
            assert (await ingest.get("/v1/jobs"))[0] == 503
            assert await ingest.get("/health/ready") == (503, NOT_READY)
        postgres.thaw()
        await back_within_10_s(ingest)

        async def nothing_is_half_done() -> bool:
            return len(ingest.stored_files()) == await ingest.job_count()

        await until(nothing_is_half_done)


async def test_a_silent_outage_of_postgres_costs_one_timeout(settings: IngestSettings) -> None:
    """A machine that loses power resets no connection: none of the open connections will answer."""
    async with (
        proxied(settings.database_url.reveal()) as postgres,
        serving(settings, database_url=Secret(postgres.url)) as ingest,
    ):
        await warm(ingest)
        postgres.lose()
        async with asyncio.timeout(10):
            await refused(ingest)
            await ingest.submit(wav())


async def test_postgres_restarts(settings: IngestSettings) -> None:
    async with (
        proxied(settings.database_url.reveal()) as postgres,
        serving(settings, database_url=Secret(postgres.url)) as ingest,
    ):
        await warm(ingest)
        await postgres.close()
        await refused(ingest)
        await postgres.open()
        await back_within_10_s(ingest)
        assert len(ingest.stored_files()) == await ingest.job_count()


async def test_an_interrupted_commit_gets_no_202(settings: IngestSettings) -> None:
    async with (
        proxied(settings.database_url.reveal()) as postgres,
        serving(settings, database_url=Secret(postgres.url)) as ingest,
    ):
        promised = []
        for _ in range(10):
            uploads = [asyncio.create_task(ingest.post(wav(), headers=WAV_TYPE)) for _ in range(10)]
            await asyncio.wait(uploads, return_when=asyncio.FIRST_COMPLETED)
            await postgres.cut()
            answers = await asyncio.gather(*uploads)
            assert {status for status, _ in answers} <= {202, 503}
            promised += [body["job_id"] for status, body in answers if status == 202]
        jobs = {str(row["id"]) for row in await ingest.sql("SELECT id FROM jobs")}
        stored = ingest.stored_jobs()
        assert promised
        assert set(promised) <= jobs
        assert jobs <= stored


async def test_postgres_refuses_connections(settings: IngestSettings) -> None:
    role = f"crowded_{new_id().hex}"
    parts = urlsplit(settings.database_url.reveal())
    url = urlunsplit(parts._replace(netloc=f"{role}:secret@{parts.hostname}:{parts.port}"))
    async with serving(settings) as operator:
        await operator.sql(f"CREATE ROLE {role} LOGIN PASSWORD 'secret' CONNECTION LIMIT 0")
        await operator.sql(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
        try:
            async with serving(settings, database_url=Secret(url)) as ingest:
                await refused(ingest)
                await operator.assert_nothing_is_left()
                await operator.sql(f"ALTER ROLE {role} CONNECTION LIMIT 5")
                await back_within_10_s(ingest)
        finally:
            await operator.sql(f"DROP OWNED BY {role}")
            await operator.sql(f"DROP ROLE {role}")
