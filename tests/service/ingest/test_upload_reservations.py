"""What is announced counts towards the quotas before it is here, once, and no longer than it may come."""

from typing import Any

import pytest

from ingest_service.settings import IngestSettings
from tests.service.ingest.test_submit_url import post as post_url
from tests.support.ingest.records import start
from tests.support.ingest.serving import Ingest, serving
from tests.support.ingest.sounds import wav
from tests.support.ingest.tus_client import Answer, Tus, metadata

SOUND = wav()
MIB = 1 << 20
URL_JOB = {"audio_url": "https://example.com/a.mp3"}


@pytest.fixture(autouse=True)
def _always_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest_service.quotas.quota_usage.CACHED_S", 0.0)
    monkeypatch.setattr("ingest_service.quotas.quota_usage.CACHED_WITHOUT_QUOTAS_S", 0.0)


def refused_by(answer: Answer) -> str:
    """The quota that an answer names."""
    assert (answer.status, answer.code) == (429, "quota_exceeded"), answer
    return str(answer.body["detail"]).split("`")[1]


async def used(ingest: Ingest) -> int:
    (row,) = await ingest.sql("SELECT coalesce(sum(bytes), 0)::bigint AS bytes FROM tenant_usage")
    return int(row["bytes"])


async def test_open_resumable_uploads_reserve_their_length(settings: IngestSettings) -> None:
    async with serving(settings, quota_bytes_a_day=100 * MIB) as ingest:
        tus = Tus.to(ingest)
        await ingest.sql(
            "INSERT INTO tenant_usage (tenant, day, shard, bytes) VALUES ('default', usage_day(), 99, $1)", 15 * MIB
        )
        paths = [await tus.created(40 * MIB) for _ in range(2)]
        assert refused_by(await tus.create(40 * MIB)) == "bytes_a_day"
        assert (await tus.request("DELETE", paths[0])).status == 204
        await tus.created(40 * MIB)
        await ingest.sql("UPDATE uploads SET expires_at = now() - interval '1 second'")
        await tus.created(40 * MIB)


async def test_a_reservation_becomes_usage_once(settings: IngestSettings) -> None:
    async with serving(settings, quota_bytes_a_day=2 * len(SOUND)) as ingest:
        tus = Tus.to(ingest)
        for _ in range(2):
            assert (await tus.create(len(SOUND), SOUND)).status == 201
        assert await used(ingest) == 2 * len(SOUND)
        assert refused_by(await tus.create(1)) == "bytes_a_day"
        await ingest.sql("UPDATE uploads SET completed_at = NULL")  # as if the process died after the commit
        await ingest.sql("UPDATE tenant_usage SET bytes = bytes - 10")
        assert (await tus.create(10)).status == 201


async def test_a_deferred_length_is_accounted_at_each_part(settings: IngestSettings) -> None:
    async with serving(settings, quota_bytes_a_day=len(SOUND)) as ingest:
        tus = Tus.to(ingest)
        first, second = await tus.created(None), await tus.created(None)
        half = len(SOUND) // 2
        assert (await tus.patch(first, 0, SOUND[:half])).status == 204
        assert (await tus.patch(second, 0, SOUND[:half])).status == 204

        async def pieces() -> Any:  # without a Content-Length
            yield SOUND[half : half + 100]

        assert refused_by(await tus.patch(first, half, SOUND[half : half + 1])) == "bytes_a_day"
        assert refused_by(await tus.patch(first, half, pieces())) == "bytes_a_day"
        assert (await tus.head(first)).offset == half
        refused = await tus.patch(first, half, b"", Upload_Length=str(len(SOUND)))
        assert refused_by(refused) == "bytes_a_day"
        assert (await tus.request("DELETE", second)).status == 204
        assert (await tus.patch(first, half, SOUND[half:], Upload_Length=str(len(SOUND)))).status == 204
        assert await ingest.job_count() == 1
        assert sum(len(path.read_bytes()) for path in ingest.stored_files()) == len(SOUND)


async def test_a_url_reserves_a_guess_until_it_is_fetched(settings: IngestSettings) -> None:
    async with serving(settings, quota_bytes_a_day=100 * MIB) as ingest:
        jobs = [await post_url(ingest, URL_JOB) for _ in range(10)]
        assert {status for status, _ in jobs} == {202}
        assert (await post_url(ingest, URL_JOB))[0] == 429
        await start(ingest, jobs[0][1]["job_id"])  # PROCESSING, not fetched yet
        assert (await post_url(ingest, URL_JOB))[0] == 429
        await ingest.sql("UPDATE jobs SET source_bytes = 10, container = 'wav'")
        assert (await post_url(ingest, URL_JOB))[0] == 202


async def test_undecoded_audio_counts_by_a_guess(settings: IngestSettings) -> None:
    async with serving(settings, quota_audio_seconds_a_day=3) as ingest:
        headers = {"Content-Type": "audio/wav"}
        statuses = [(await ingest.post(SOUND, headers=headers))[0] for _ in range(5)]
        assert statuses == [202, 202, 202, 429, 429]
        await ingest.sql("UPDATE jobs SET duration_s = 0.1")
        assert (await ingest.post(SOUND, headers=headers))[0] == 202


async def test_open_and_ended_uploads_are_bounded_without_quotas(settings: IngestSettings) -> None:
    async with serving(settings, max_open_uploads=3, max_ended_uploads=4) as ingest:
        tus = Tus.to(ingest)
        for _ in range(4):
            paths = [await tus.created(9, Upload_Metadata=metadata(filename="a")) for _ in range(2)]
            if await ingest.sql("SELECT 1 FROM uploads WHERE ended_at IS NOT NULL OFFSET 1"):
                break
            await ingest.sql("INSERT INTO direct_uploads (id, tenant) VALUES (gen_random_uuid(), 'default')")
            assert refused_by(await tus.create(9)) == "open_uploads"
            await ingest.sql("DELETE FROM direct_uploads")
            for path in paths:
                assert (await tus.request("DELETE", path)).status == 204
        for path in paths:
            assert (await tus.request("DELETE", path)).status == 204
        assert refused_by(await tus.create(9)) == "ended_uploads"


async def test_the_parts_of_an_upload_are_bounded(settings: IngestSettings) -> None:
    async with serving(settings, max_upload_parts=2) as ingest:
        tus = Tus.to(ingest)
        path = await tus.created(len(SOUND))
        for offset in range(2):
            assert (await tus.patch(path, offset, SOUND[offset : offset + 1])).status == 204
        stored = len(ingest.stored_files())
        assert refused_by(await tus.patch(path, 2, SOUND[2:])) == "upload_parts"
        assert ((await tus.head(path)).offset, len(ingest.stored_files())) == (2, stored)
