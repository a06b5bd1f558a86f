"""Postgres goes away in every way it can: a clear 503, never a 202 for nothing, and uploads again once it is back."""

import asyncio
import os
import signal
from urllib.parse import urlsplit, urlunsplit

from ingest_service.settings import IngestSettings
from shared.ids import new_id
from tests.ingest.proxy import proxied, silent_server
from tests.ingest.serving import Ingest, serving, until
from tests.ingest.sounds import wav

NOBODY = "127.0.0.1:1"
WAV_TYPE = {"Content-Type": "audio/wav"}
NOT_READY = {"ready": False, "away": ["database"], "processors": {"status": "not_seen", "seen_s_ago": None}}


async def test_without_postgres_nothing_is_promised(settings: IngestSettings) -> None:
    async with serving(settings, database_url=f"postgresql://x@{NOBODY}/x") as ingest:
        async with ingest.client.post(ingest.url + "/v1/jobs", data=wav(), headers=WAV_TYPE) as answer:
            assert answer.status == 503
            assert int(answer.headers["Retry-After"]) > 0
            assert (await answer.json(content_type=None))["code"] == "database_unavailable"
        assert ingest.stored_files() == []
        assert (await ingest.get("/v1/jobs"))[0] == 503
        assert await ingest.get("/health/ready") == (503, NOT_READY)
        assert (await ingest.get("/health/live"))[0] == 200


async def test_a_frozen_postgres_is_one_that_is_away(settings: IngestSettings) -> None:
    async with silent_server() as address, serving(settings, database_url=f"postgresql://x@{address}/x") as ingest:
        async with asyncio.timeout(9):
            status, problem = await ingest.post(wav(), headers=WAV_TYPE)
        assert (status, problem["code"]) == (503, "database_unavailable")
        assert ingest.stored_files() == []


async def test_a_connection_that_froze_leaves_nothing_when_it_thaws(settings: IngestSettings) -> None:
    """The statement reaches the backend and is never answered: what it did must be rolled back."""
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


async def test_connections_that_broke_are_replaced(settings: IngestSettings) -> None:
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
    """An upload is refused honestly: 503, and told when to come again."""
    async with ingest.client.post(ingest.url + "/v1/jobs", data=wav(), headers=WAV_TYPE) as answer:
        assert (answer.status, (await answer.json(content_type=None))["code"]) == (503, "database_unavailable")
        assert int(answer.headers["Retry-After"]) > 0


async def back_within_10_s(ingest: Ingest) -> None:
    async def taken() -> bool:
        return (await ingest.post(wav(), headers=WAV_TYPE))[0] == 202

    await until(taken, timeout_s=10)


async def warm(ingest: Ingest) -> None:
    """Have several connections in the pool."""
    await asyncio.gather(*(ingest.submit(wav()) for _ in range(8)))


async def test_postgres_freezes_under_open_connections_and_thaws(settings: IngestSettings) -> None:
    async with proxied(settings.database_url) as postgres, serving(settings, database_url=postgres.url) as ingest:
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


async def test_postgres_goes_without_a_word_and_one_timeout_is_enough_to_know(settings: IngestSettings) -> None:
    """A machine that loses its power resets no connection: of all that are open none will ever answer."""
    async with proxied(settings.database_url) as postgres, serving(settings, database_url=postgres.url) as ingest:
        await warm(ingest)
        postgres.lose()
        async with asyncio.timeout(10):
            await refused(ingest)
            await ingest.submit(wav())


async def test_postgres_restarts(settings: IngestSettings) -> None:
    async with proxied(settings.database_url) as postgres, serving(settings, database_url=postgres.url) as ingest:
        await warm(ingest)
        await postgres.close()
        await refused(ingest)
        await postgres.open()
        await back_within_10_s(ingest)
        assert len(ingest.stored_files()) == await ingest.job_count()


async def test_no_202_is_given_for_a_commit_that_was_cut(settings: IngestSettings) -> None:
    async with proxied(settings.database_url) as postgres, serving(settings, database_url=postgres.url) as ingest:
        promised = []
        for _ in range(10):
            uploads = [asyncio.create_task(ingest.post(wav(), headers=WAV_TYPE)) for _ in range(10)]
            await asyncio.wait(uploads, return_when=asyncio.FIRST_COMPLETED)
            await postgres.cut()
            answers = await asyncio.gather(*uploads)
            assert {status for status, _ in answers} <= {202, 503}
            promised += [body["job_id"] for status, body in answers if status == 202]
        jobs = {str(row["id"]) for row in await ingest.sql("SELECT id FROM jobs")}
        stored = {file.parent.name for file in ingest.stored_files()}
        assert promised
        assert set(promised) <= jobs
        assert jobs <= stored


async def test_a_postgres_that_takes_no_more_connections(settings: IngestSettings) -> None:
    role = f"crowded_{new_id().hex}"
    parts = urlsplit(settings.database_url)
    url = urlunsplit(parts._replace(netloc=f"{role}:secret@{parts.hostname}:{parts.port}"))
    async with serving(settings) as operator:
        await operator.sql(f"CREATE ROLE {role} LOGIN PASSWORD 'secret' CONNECTION LIMIT 0")
        await operator.sql(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
        try:
            async with serving(settings, database_url=url) as ingest:
                await refused(ingest)
                await operator.assert_nothing_is_left()
                await operator.sql(f"ALTER ROLE {role} CONNECTION LIMIT 5")
                await back_within_10_s(ingest)
        finally:
            await operator.sql(f"DROP OWNED BY {role}")
            await operator.sql(f"DROP ROLE {role}")
