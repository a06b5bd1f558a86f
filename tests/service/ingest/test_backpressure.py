"""A low disk refuses new uploads and nothing else; queued jobs have an estimated wait."""

import pytest

from ingest_service.errors import OutageError
from ingest_service.jobs.wait_estimate import Pace, estimated_wait_s, pace_of
from ingest_service.settings import IngestSettings
from ingest_service.uploads.free_space import FreeSpace, has_room
from shared.blobs.blob_store import BlobStore
from tests.support.ingest.raw_http import connected, head
from tests.support.ingest.records import start
from tests.support.ingest.serving import Ingest, serving
from tests.support.ingest.sounds import wav

MORE_THAN_ANY_DISK = 1 << 60
AUDIO = {"Content-Type": "audio/wav"}


async def test_a_low_disk_refuses_uploads_and_nothing_else(settings: IngestSettings) -> None:
    async with serving(settings) as ingest:
        job_id = await ingest.submit(wav())
    async with serving(settings, min_free_bytes=MORE_THAN_ANY_DISK) as ingest:
        async with ingest.client.post(ingest.url + "/v1/jobs", data=wav(), headers=AUDIO) as answer:
            problem = await answer.json(content_type=None)
            assert (answer.status, problem["code"]) == (507, "storage_full")
            assert answer.headers["Retry-After"] == "60"
        assert (await ingest.get(f"/v1/jobs/{job_id}"))[1]["status"] == "QUEUED"
        assert (await ingest.post(None, path=f"/v1/jobs/{job_id}/cancel"))[0] == 200
        async with ingest.client.get(f"{ingest.url}/v1/jobs/{job_id}/audio") as audio:
            assert await audio.read() == wav()
        assert await ingest.delete(f"/v1/jobs/{job_id}") == 204
        assert ingest.stored_files() == []


async def first_line(ingest: Ingest, declared_bytes: int) -> bytes:
    """The first line of the answer to an upload of which only the head was sent."""
    async with connected(ingest) as (reader, writer):
        writer.write(head("Content-Type: audio/wav", f"Content-Length: {declared_bytes}"))
        return await reader.readline()


async def test_an_upload_that_would_use_the_reserve_is_refused_before_its_body(settings: IngestSettings) -> None:
    free_bytes = BlobStore(settings.storage_url).free_bytes()
    assert free_bytes
    async with serving(settings, min_free_bytes=free_bytes // 2, max_upload_bytes=MORE_THAN_ANY_DISK) as ingest:
        assert await first_line(ingest, free_bytes) == b"HTTP/1.1 507 Insufficient Storage\r\n"
        assert (await ingest.post(wav(), headers=AUDIO))[0] == 202


async def test_too_large_takes_precedence_over_storage_full(settings: IngestSettings) -> None:
    async with serving(settings, max_upload_bytes=1000) as ingest:
        assert (await first_line(ingest, MORE_THAN_ANY_DISK)).startswith(b"HTTP/1.1 413 ")


async def test_free_space_is_cached(storage_url: str) -> None:
    space = FreeSpace(BlobStore(storage_url), 1 << 30)
    await space.require(0)
    space._free_bytes = 0  # a cached value: the disk is full
    with pytest.raises(OutageError, match="storage_full"):
        await space.require(0)
    space._asked_at_s -= 2
    await space.require(0)


@pytest.mark.parametrize(
    ("free", "upload", "mark", "room"), [(None, 10, 10, True), (10, 0, 10, True), (10, 1, 10, False), (9, 0, 10, False)]
)
def test_room(free: int | None, upload: int, mark: int, *, room: bool) -> None:
    assert has_room(free, upload, mark) is room


async def completed(ingest: Ingest, began_s_ago: int, ended_s_ago: int, duration_s: float) -> None:
    await ingest.sql(
        "UPDATE jobs SET status = 'COMPLETED', duration_s = $4, started_at = now() - $2 * interval '1 s', "
        "completed_at = now() - $3 * interval '1 s' WHERE id = $1",
        await ingest.submit(wav()), began_s_ago, ended_s_ago, duration_s,
    )  # fmt: skip


async def waits(ingest: Ingest) -> list[float | None]:
    _, page = await ingest.get("/v1/jobs", params={"status": "QUEUED"})
    return [job["estimated_wait_s"] for job in page["jobs"]][::-1]


@pytest.fixture
def _always_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest_service.jobs.wait_estimate.MAX_AGE_S", -1)
    monkeypatch.setattr("ingest_service.jobs.wait_estimate.PAUSE_FACTOR", 0)


@pytest.mark.usefixtures("_always_fresh")
async def test_the_estimated_wait_is_the_queued_audio_over_the_recent_speed(ingest: Ingest) -> None:
    assert await waits(ingest) == []
    first = await ingest.submit(wav())
    assert await waits(ingest) == [None]  # no job has finished yet
    await completed(ingest, 100, 90, 60)
    await completed(ingest, 95, 85, 60)  # in parallel: 120 s of audio in 15 s
    await ingest.submit(wav())
    await ingest.submit(wav())
    assert await waits(ingest) == [None, None, None]  # no worker is running
    await start(ingest, first)
    assert await waits(ingest) == pytest.approx([7.5, 15.0], abs=0.2)
    await ingest.sql("UPDATE tasks SET progress = 0.5 WHERE job_id = $1", first)
    assert await waits(ingest) == pytest.approx([3.75, 11.25], abs=0.2)
    await ingest.sql("UPDATE jobs SET duration_s = 600, chunk_count = 4, chunks_done = 3 WHERE id = $1", first)
    assert await waits(ingest) == pytest.approx([18.75, 26.25], abs=0.2)
    _, job = await ingest.get(f"/v1/jobs/{first}")
    assert (job["queue_position"], job["estimated_wait_s"]) == (None, None)


@pytest.mark.usefixtures("_always_fresh")
async def test_a_recently_finished_job_implies_a_running_worker(ingest: Ingest) -> None:
    await completed(ingest, 12, 2, 60)
    await ingest.submit(wav())
    assert await waits(ingest) == [0.0]


def test_without_a_known_speed_there_is_no_estimate() -> None:
    assert estimated_wait_s(None, 1000) is None
    row = {"audio_s": 60.0, "bytes": 1000.0, "busy_s": 0.0, "left_s": 0.0, "left_bytes": 0.0, "at_work": True}
    assert pace_of(row) is None
    assert pace_of(row | {"busy_s": 6.0, "at_work": None}) is None
    assert pace_of(row | {"busy_s": 6.0, "left_bytes": 500.0}) == Pace(
        audio_s_per_wall_s=10, audio_s_per_byte=0.06, left_s=30
    )
