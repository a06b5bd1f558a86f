"""Small uploads take the fast path: without the framework, without streams, with plain system calls."""

import asyncio
import hashlib
import os
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from ingest_service.settings import IngestSettings
from ingest_service.uploads.receive import SMALL_BYTES
from shared.blobs import blob_keys
from shared.blobs.blob_errors import BlobStoreError
from shared.blobs.blob_store import BlobStore
from shared.blobs.local_files import write_whole
from tests.service.ingest.test_submit import WAV_TYPE, form, multipart_body
from tests.support.ingest.serving import Ingest, serving
from tests.support.ingest.sounds import wav
from tests.support.storage.files_below import files_below

LARGE_BYTES = 3 * SMALL_BYTES


def folder_of(storage_url: str) -> Path:
    return Path(urlsplit(storage_url).path)


def files_in(folder: Path) -> list[Path]:
    return files_below(folder)


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/", "/api/upload-audio", "/api/upload-audio/"])
@pytest.mark.parametrize("data_bytes", [32000, LARGE_BYTES // 250 * 250])
async def test_both_paths_accept_the_same_form(ingest: Ingest, path: str, data_bytes: int) -> None:
    sound = wav(data_bytes)
    data = form(("language", "en"), ("audio_file", sound), ("metadata", '{"call": 4711}'))

    status, accepted = await ingest.post(data, path=path)

    assert (status, accepted["status"]) == (202, "QUEUED"), accepted
    (job,) = await ingest.sql("SELECT * FROM jobs")
    assert str(job["id"]) == accepted["job_id"]
    assert (job["filename"], job["metadata"], job["options"]) == ("talk.wav", '{"call":4711}', '{"language":"en"}')
    assert (job["source_bytes"], job["source_sha256"]) == (len(sound), hashlib.sha256(sound).hexdigest())
    assert await ingest.blobs.get(blob_keys.source(job["id"])) == sound


@pytest.mark.parametrize("padding", [0, LARGE_BYTES])
@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([("audio_file", b"x" * 100)], "unsupported_media"),
        ([("audio_file", b"")], "empty_upload"),
        ([("audio_file", wav()), ("audio_file", wav())], "invalid_form"),
        ([("language", b"en")], "missing_audio_file"),
        ([("language", b"xx"), ("audio_file", wav())], "invalid_option"),
        ([("language", b"\xff"), ("audio_file", wav())], "invalid_option"),
        ([("audio_file", wav()), ("no_option", b"1")], "invalid_option"),
    ],
)
async def test_both_paths_refuse_the_same_form(
    ingest: Ingest, parts: list[tuple[str, bytes]], code: str, padding: int
) -> None:
    """An epilogue, which every parser skips, makes the same form too large for the fast path."""
    body = multipart_body("b", *parts) + b"." * padding

    status, problem = await ingest.post(body, headers={"Content-Type": "multipart/form-data; boundary=b"})

    assert (problem["code"], problem["status"]) == (code, status)
    await ingest.assert_nothing_is_left()


@pytest.mark.parametrize("header", ["boundary=a=b/c:d", 'Boundary="a=b/c:d"', "charset=utf-8; boundary=a=b/c:d"])
async def test_boundaries_may_be_quoted_or_not(ingest: Ingest, header: str) -> None:
    body = multipart_body("a=b/c:d", ("audio_file", wav()))

    status, answer = await ingest.post(body, headers={"Content-Type": f"Multipart/Form-Data; {header}"})

    assert status == 202, answer


async def test_small_audio_over_the_limit_is_refused(settings: IngestSettings) -> None:
    async with serving(settings, max_upload_bytes=1000) as ingest:
        for data, headers in [(form(("audio_file", wav(2000))), None), (wav(2000), WAV_TYPE)]:
            status, problem = await ingest.post(data, headers=headers)
            assert (status, problem["code"]) == (413, "too_large")
        await ingest.assert_nothing_is_left()


async def test_a_store_error_and_a_defect_get_problem_answers(ingest: Ingest) -> None:
    ingest.lose_store()
    status, problem = await ingest.post(wav(), headers=WAV_TYPE)
    assert (status, problem["code"]) == (503, "storage_unavailable")


def test_a_leftover_of_a_crash_does_not_block_a_write(tmp_path: Path) -> None:
    leftover, blob = tmp_path / "source#1", tmp_path / "source"
    leftover.write_bytes(b"half")

    write_whole(str(blob), b"whole")

    assert blob.read_bytes() == b"whole"
    assert set(files_in(tmp_path)) == {blob, leftover}


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    """A folder exists at the path of the file."""
    (tmp_path / "job" / "source").mkdir(parents=True)

    with pytest.raises(IsADirectoryError):
        write_whole(f"{tmp_path}/job/source", b"whole")

    assert files_in(tmp_path) == []


@pytest.mark.parametrize("data_bytes", [32000, LARGE_BYTES // 250 * 250])
async def test_with_fsync_file_and_folders_are_synced_before_the_answer(
    settings: IngestSettings, monkeypatch: pytest.MonkeyPatch, data_bytes: int
) -> None:
    synced: set[str] = set()
    fsync = os.fsync

    def noted(file: int) -> None:
        synced.add(str(Path(f"/proc/self/fd/{file}").readlink()))
        fsync(file)

    monkeypatch.setattr(os, "fsync", noted)
    async with serving(settings, fsync=True) as ingest:
        job_id = await ingest.submit(wav(data_bytes))
        root = folder_of(settings.storage_url)
        source = root / blob_keys.source(UUID(job_id))
        assert {str(path) for path in (source, *source.parents) if path.is_relative_to(root)} <= synced


async def test_a_blob_that_cannot_be_synced_is_deleted(storage_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: int) -> None:
        raise OSError(5, "Input/output error")

    blobs = BlobStore(storage_url, fsync=True)
    monkeypatch.setattr(os, "fsync", fails)
    outcomes = await asyncio.gather(
        blobs.put_small("jobs/1/source", b"x"), blobs.put("jobs/2/source", b"x"), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [BlobStoreError, BlobStoreError]
    assert files_in(folder_of(storage_url)) == []
