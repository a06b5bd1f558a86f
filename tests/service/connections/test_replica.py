"""Reads of clients on a real streaming replica: never older than the primary's, whatever happens to the replica."""

import asyncio
import io
import logging
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio

from ingest_service.settings import IngestSettings
from shared.secret import Secret
from tests.support.connections.replica import Pair, execute, replicated
from tests.support.ingest import records
from tests.support.ingest.api_keys import bearer, guarded, new_key
from tests.support.ingest.following import following
from tests.support.ingest.scraping import scrape
from tests.support.ingest.serving import Ingest, serving, until
from tests.support.ingest.sounds import wav

pytestmark = pytest.mark.process

WITHIN_S = 30
MISSING = "01900000-0000-7000-8000-000000000000"
# Of all routes that show jobs or what happened to them.
READS = (
    "/v1/jobs/{job_id}",
    "/v1/jobs",
    "/v1/jobs?status=COMPLETED&filename=a",
    "/v1/jobs/counts",
    "/v1/jobs/{job_id}/work",
    "/v1/jobs/{job_id}/webhook-attempts",
    "/v1/jobs/{job_id}/transcript/edits",
    "/v1/dead-letters",
    "/v1/dead-letters/counts",
    "/v1/usage",
    "/v1/queue",
    "/v1/queue/history",
    "/v1/webhooks/attempts",
    "/v1/webhooks/attempts?job_id={job_id}",
    "/v1/webhooks/tests/{job_id}",
)


@pytest_asyncio.fixture(scope="module")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    async with replicated(tmp_path_factory.mktemp("replicated")) as pair:
        yield pair


@pytest_asyncio.fixture
async def pair(servers: Pair) -> AsyncIterator[Pair]:
    """The servers without jobs, and a replica that follows at once."""
    await execute(servers.primary.url, "TRUNCATE jobs, tasks, webhook_events, webhook_attempts CASCADE")
    yield servers
    if await servers.on_replica("SELECT pg_is_in_recovery()"):
        await servers.delay(0)
        await servers.resume()


@pytest.fixture
def settings(pair: Pair, redis_url: str, storage_url: str) -> IngestSettings:
    return IngestSettings(
        database_url=Secret(pair.primary_url),
        database_replica_url=Secret(pair.replica_url),
        redis_url=Secret(redis_url),
        storage_url=storage_url,
        auth="none",
        ingest_processes=1,
    )


@pytest_asyncio.fixture
async def ingest(settings: IngestSettings) -> AsyncIterator[Ingest]:
    async with serving(settings) as running:
        yield running


async def reads(ingest: Ingest, server: str) -> float:
    return (await scrape(ingest)).get("replica_reads_total", server=server)


async def reads_on(ingest: Ingest, server: str) -> bool:
    """Whether a read is answered by this server."""
    before = await reads(ingest, server)
    await ingest.get("/v1/jobs/counts")
    return await reads(ingest, server) > before


async def status_of(ingest: Ingest, job_id: str) -> tuple[int, str]:
    status, said = await ingest.get(f"/v1/jobs/{job_id}")
    return status, said["status"] if status == 200 else said["code"]


async def changed_and_read(ingest: Ingest) -> list[tuple[int, str]]:
    """What a client reads immediately after each of its changes."""
    job_id = await ingest.submit(wav())
    submitted = await status_of(ingest, job_id)
    await ingest.post(b"", f"/v1/jobs/{job_id}/cancel")
    cancelled = await status_of(ingest, job_id)
    await ingest.delete(f"/v1/jobs/{job_id}")
    return [submitted, cancelled, await status_of(ingest, job_id)]


CHANGED_AND_READ = [(200, "QUEUED"), (200, "CANCELLED"), (410, "job_erased")]


async def test_a_client_reads_its_changes_from_a_replica_that_is_a_little_behind(ingest: Ingest, pair: Pair) -> None:
    await pair.delay(15)
    before = await reads(ingest, "replica")

    for _ in range(5):
        assert await changed_and_read(ingest) == CHANGED_AND_READ

    assert await reads(ingest, "replica") > before


async def test_the_primary_answers_while_the_replica_is_far_behind(
    ingest: Ingest, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await until(lambda: reads_on(ingest, "replica"), WITHIN_S)
    await pair.pause()

    for _ in range(3):
        assert await changed_and_read(ingest) == CHANGED_AND_READ
    assert await reads_on(ingest, "primary")

    await pair.resume()
    await until(lambda: reads_on(ingest, "replica"), WITHIN_S)
    events = [record.message.split()[0] for record in caplog.records if "replica" in record.message]
    assert events == ["replica_not_used", "replica_used_again"]


@pytest.mark.parametrize("is_paused", [False, True])
async def test_an_event_stream_shows_the_end_at_its_hint(ingest: Ingest, pair: Pair, *, is_paused: bool) -> None:
    await pair.delay(15)
    job_id = await ingest.submit(wav())

    async with following(ingest, job_id) as stream:
        assert (await stream.next()).data["status"] == "QUEUED"
        if is_paused:
            await pair.pause()
        await records.complete(ingest, job_id)
        await ingest.hint(job_id)
        assert (await stream.next()).data["status"] == "COMPLETED"


async def test_a_request_that_waits_gets_the_end_of_its_job(ingest: Ingest, pair: Pair) -> None:
    await pair.delay(15)

    async def waiting_for_the_end() -> tuple[int, str]:
        headers = {"Content-Type": "audio/wav", "Prefer": "wait=20"}
        status, said = await ingest.post(io.BytesIO(wav()), headers=headers)
        return status, said["status"]

    answer = asyncio.create_task(waiting_for_the_end())
    await until(lambda: _has_jobs(ingest))
    ((job_id,),) = await ingest.sql("SELECT id FROM jobs")
    await records.complete(ingest, job_id)
    await ingest.hint(job_id)

    assert await answer == (201, "COMPLETED")


async def _has_jobs(ingest: Ingest) -> bool:
    return await ingest.job_count() > 0


@pytest.mark.parametrize("frozen", [False, True])
async def test_reads_go_on_when_the_replica_is_killed_or_frozen(ingest: Ingest, pair: Pair, *, frozen: bool) -> None:
    job_id = await ingest.submit(wav())
    await until(lambda: reads_on(ingest, "replica"), WITHIN_S)

    async def asking() -> set[tuple[int, str]]:
        return {await status_of(ingest, job_id) for _ in range(20)}

    async def failing() -> set[tuple[int, str]]:
        if frozen:
            pair.replica.freeze()
        else:
            await pair.replica.kill()
        return await asking()

    answers = await asyncio.gather(*(asking() for _ in range(4)), failing())

    assert set().union(*answers) == {(200, "QUEUED")}
    assert await reads_on(ingest, "primary")
    if frozen:
        pair.replica.thaw()
    else:
        await pair.replica.start()
    await until(lambda: reads_on(ingest, "replica"), WITHIN_S)


async def test_all_reads_of_jobs_run_on_the_replica(ingest: Ingest) -> None:
    job_id = await records.failed(ingest)
    on_primary = await reads(ingest, "primary")

    answers = {path: (await ingest.get(path.format(job_id=job_id)))[0] for path in READS}

    assert not {path: status for path, status in answers.items() if status not in {200, 404, 409}}
    assert await reads(ingest, "primary") == on_primary


async def test_a_server_of_another_cluster_is_not_used(settings: IngestSettings, service_database_url: str) -> None:
    other = msgspec.structs.replace(settings, database_replica_url=Secret(service_database_url))
    async with serving(other) as ingest:
        before = await reads(ingest, "replica")
        assert await changed_and_read(ingest) == CHANGED_AND_READ
        assert await reads(ingest, "replica") == before


async def test_a_lost_primary_is_an_outage_although_the_replica_answers(ingest: Ingest, pair: Pair) -> None:
    job_id = await ingest.submit(wav())
    await pair.primary.kill()

    assert await status_of(ingest, job_id) == (503, "database_unavailable")
    await pair.primary.start()
    assert await status_of(ingest, job_id) == (200, "QUEUED")


async def test_a_revoked_key_is_refused_at_once_however_far_the_replica_is_behind(
    settings: IngestSettings, pair: Pair
) -> None:
    key = await new_key(settings, "acme")
    async with guarded(settings) as ingest:
        assert await status_with(ingest, key.key) == 404
        await pair.pause()
        async with ingest.client.delete(f"{ingest.url}/v1/keys/{key.key_id}", headers=bearer(key.key)) as answer:
            assert answer.status == 204

        assert await status_with(ingest, key.key) == 401


async def status_with(ingest: Ingest, key: str) -> int:
    async with ingest.client.get(f"{ingest.url}/v1/jobs/{MISSING}", headers=bearer(key)) as answer:
        return answer.status


async def test_a_replica_that_was_promoted_is_not_used(ingest: Ingest, pair: Pair) -> None:
    """The last test of the file: the primary has no replica from here on."""
    await until(lambda: reads_on(ingest, "replica"), WITHIN_S)
    await pair.promote()

    assert await changed_and_read(ingest) == CHANGED_AND_READ
    assert await reads_on(ingest, "primary")
