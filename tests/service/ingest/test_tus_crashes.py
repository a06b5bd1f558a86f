"""Processes die between two steps of an upload or alternate: no acknowledged byte is lost, one job results."""

from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import msgspec
import pytest

from ingest_service.settings import IngestSettings
from shared import failpoints
from shared.blobs import blob_keys
from tests.support.ingest.process import running
from tests.support.ingest.serving import Ingest, serving, until
from tests.support.ingest.sounds import wav
from tests.support.ingest.tus_client import Tus, assert_is_job, half_sent, parts_left

AUDIO = wav(100_000)
HALF = 40_000

Order = Callable[[str, str], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "failpoints"
    folder.mkdir()
    return folder


@pytest.fixture
def order(folder: Path) -> Iterator[Order]:
    """Arm a failpoint of the ingest in this process once."""
    failpoints.arm(str(folder))

    def write(name: str, what: str) -> None:
        (folder / name).write_text(what)

    yield write
    failpoints.arm("")


async def end_leases(ingest: Ingest) -> None:
    """Expire the leases of a dead process early."""

    async def its_transaction_is_over() -> bool:
        connected = (
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'"
        )
        return not await ingest.sql(connected)

    await until(its_transaction_is_over)
    await ingest.sql("UPDATE uploads SET lease_expires_at = now()")


STEPS = [
    ("uploads.after_part", HALF),
    ("uploads.after_count", len(AUDIO)),
    ("uploads.after_compose", len(AUDIO)),
    ("submit.before_commit", len(AUDIO)),
    ("submit.after_commit", len(AUDIO)),
    ("uploads.before_complete", len(AUDIO)),
]


@pytest.mark.parametrize(("step", "offset"), STEPS)
async def test_after_a_kill_at_any_step_another_process_continues(
    settings: IngestSettings, folder: Path, step: str, offset: int
) -> None:
    armed = msgspec.structs.replace(settings, failpoints=str(folder))
    async with serving(settings) as other, running(armed) as (process, url), aiohttp.ClientSession() as client:
        tus = Tus(client, url)
        path = await tus.created(len(AUDIO))
        assert (await tus.patch(path, 0, AUDIO[:HALF])).offset == HALF
        (folder / step).write_text("kill")
        with pytest.raises(aiohttp.ClientConnectionError):
            await tus.patch(path, HALF, AUDIO[HALF:])
        await process.wait()
        await end_leases(other)

        answer = await Tus.to(other).head(path)
        assert answer.offset == offset
        if offset < len(AUDIO):
            answer = await Tus.to(other).patch(path, offset, AUDIO[offset:])
        await assert_is_job(other, answer, AUDIO)
        assert len(await other.sql("SELECT 1 FROM upload_parts")) == 0


@pytest.mark.parametrize("step", ["uploads.after_compose", "submit.before_commit", "submit.after_commit"])
@pytest.mark.parametrize("asked_by", ["HEAD", "PATCH"])
async def test_a_failed_completion_is_repeated_by_the_next_request(
    ingest: Ingest, order: Order, step: str, asked_by: str
) -> None:
    tus = Tus.to(ingest)
    path = await tus.created(len(AUDIO))
    order(step, "fail")
    assert (await tus.patch(path, 0, AUDIO)).status in {500, 503}
    answer = await (tus.head(path) if asked_by == "HEAD" else tus.patch(path, len(AUDIO), b""))
    await assert_is_job(ingest, answer, AUDIO)


async def test_an_upload_whose_job_id_was_collected_gets_a_new_one(ingest: Ingest, order: Order) -> None:
    """Its process died before the commit, and its client returned hours later."""
    tus = Tus.to(ingest)
    path = await tus.created(len(AUDIO))
    order("uploads.after_compose", "fail")
    await tus.patch(path, 0, AUDIO)
    (upload,) = await ingest.sql("SELECT job_id FROM uploads")
    await ingest.blobs.delete_keys([blob_keys.source(upload["job_id"])])
    await ingest.sql(
        "INSERT INTO jobs (id, status, options, container, source_bytes, source_sha256, erased_at, blobs_erased_at)"
        " VALUES ($1, 'CANCELLED', '{}', '', 0, '', now(), now())",
        upload["job_id"],
    )
    answer = await tus.head(path)
    assert answer.headers["Headrace-Job-Id"] != str(upload["job_id"])
    await ingest.sql("DELETE FROM jobs WHERE id = $1", upload["job_id"])
    await assert_is_job(ingest, answer, AUDIO)


async def test_an_erased_job_is_not_created_again(ingest: Ingest, order: Order) -> None:
    tus = Tus.to(ingest)
    path = await tus.created(len(AUDIO))
    order("uploads.before_complete", "fail")
    await tus.patch(path, 0, AUDIO)
    (job,) = await ingest.sql("SELECT id FROM jobs")
    assert await ingest.delete(f"/v1/jobs/{job['id']}") == 204
    assert (await tus.head(path)).headers["Headrace-Job-Id"] == str(job["id"])
    assert await ingest.job_count() == 1


async def test_a_terminated_upload_never_becomes_a_job(ingest: Ingest, order: Order) -> None:
    """A process that froze before the commit finds the id taken."""
    tus = Tus.to(ingest)
    path = await tus.created(len(AUDIO))
    order("uploads.after_compose", "fail")
    await tus.patch(path, 0, AUDIO)
    (upload,) = await ingest.sql("SELECT job_id FROM uploads")
    assert (await tus.request("DELETE", path)).status == 204
    assert (await ingest.get(f"/v1/jobs/{upload['job_id']}"))[0] == 410
    assert await ingest.sql("SELECT 1 FROM tasks") == []


async def test_two_processes_alternate_on_one_upload(settings: IngestSettings) -> None:
    async with running(settings) as (_, one), running(settings) as (_, other), serving(settings) as observer:
        path = await Tus(observer.client, one).created(len(AUDIO))
        offset = 0
        for turn in range(10):
            tus = Tus(observer.client, (one, other)[turn % 2])
            assert (await tus.head(path)).offset == offset
            answer = await tus.patch(path, offset, AUDIO[offset : offset + len(AUDIO) // 10 + 10])
            offset = answer.offset
        await assert_is_job(observer, answer, AUDIO)


async def test_a_process_killed_while_receiving_loses_no_acknowledged_byte(settings: IngestSettings) -> None:
    async with serving(settings) as other, running(settings) as (process, url):
        tus = Tus(other.client, url)
        path = await tus.created(len(AUDIO))
        await tus.patch(path, 0, AUDIO[:HALF])
        async with half_sent(url, path, HALF, len(AUDIO) - HALF, AUDIO[HALF:-1]):

            async def next_part_is_written() -> bool:
                return len(parts_left(other)) == 2

            await until(next_part_is_written)
            process.kill()
            await process.wait()
        await end_leases(other)
        offset = (await Tus.to(other).head(path)).offset
        assert offset >= HALF
        await assert_is_job(other, await Tus.to(other).patch(path, offset, AUDIO[offset:]), AUDIO)


async def test_an_unavailable_store_loses_no_acknowledged_byte(ingest: Ingest) -> None:
    tus = Tus.to(ingest)
    path = await tus.created(len(AUDIO))
    in_the_way = ingest.lose_store()
    answer = await tus.patch(path, 0, AUDIO)
    assert (answer.status, answer.code) == (503, "storage_unavailable")
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    in_the_way.unlink()
    in_the_way.mkdir()
    assert (await tus.head(path)).offset == 0
    await assert_is_job(ingest, await tus.patch(path, 0, AUDIO), AUDIO)
