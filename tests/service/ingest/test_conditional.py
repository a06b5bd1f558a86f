"""Conditional requests for audio and transcripts, and the names of downloads, over HTTP."""

import datetime as dt
from collections.abc import Mapping
from email.utils import format_datetime
from typing import Any

import aiohttp
import pytest

from shared.blobs import blob_keys
from tests.service.ingest.test_read import complete
from tests.support.ingest.serving import Ingest
from tests.support.ingest.sounds import wav

AUDIO = wav(200 << 10)
PART = "bytes=1000-1999"


async def ask(
    ingest: Ingest, path: str, headers: Mapping[str, str] | None = None, method: str = "GET"
) -> tuple[int, Mapping[str, str], bytes]:
    async with ingest.client.request(method, ingest.url + path, headers=headers) as answer:
        return answer.status, answer.headers, await answer.read()


@pytest.fixture
async def paths(ingest: Ingest) -> dict[str, str]:
    """The paths of a job's contents."""
    data = aiohttp.FormData(quote_fields=False)
    data.add_field("audio_file", AUDIO, filename="Größe 1.wav")
    _, job = await ingest.post(data)
    await complete(ingest, job["job_id"])
    job_path = f"/v1/jobs/{job['job_id']}"
    return {
        "audio": f"{job_path}/audio",
        "denoised": f"{job_path}/audio?variant=denoised",
        "json": f"{job_path}/transcript",
        "srt": f"{job_path}/transcript?format=srt",
    }


KINDS = pytest.mark.parametrize("kind", ["audio", "denoised", "json", "srt"])
EARLIER, LATER = "Sun, 06 Nov 1994 08:49:37 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"


@KINDS
async def test_a_client_that_has_the_content_gets_304(ingest: Ingest, paths: dict[str, str], kind: str) -> None:
    _, first, body = await ask(ingest, paths[kind])
    etag = first["ETag"]
    assert (await ask(ingest, paths[kind]))[1]["ETag"] == etag
    for tags in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        status, headers, nothing = await ask(ingest, paths[kind], {"If-None-Match": tags})
        assert (status, nothing, headers["ETag"]) == (304, b"", etag)
    for tags in ('"other"', etag.strip('"'), "", '"unclosed'):
        status, _, again = await ask(ingest, paths[kind], {"If-None-Match": tags, "If-Modified-Since": LATER})
        assert (status, again) == (200, body)


@KINDS
async def test_if_match(ingest: Ingest, paths: dict[str, str], kind: str) -> None:
    _, first, body = await ask(ingest, paths[kind])
    for tags in (first["ETag"], f'"other", {first["ETag"]}', "*"):
        assert (await ask(ingest, paths[kind], {"If-Match": tags}))[::2] == (200, body)
    for tags in ('"other"', f"W/{first['ETag']}"):
        status, headers, problem = await ask(ingest, paths[kind], {"If-Match": tags, "If-None-Match": "*"})
        assert (status, headers["Content-Type"]) == (412, "application/problem+json")
        assert b"precondition_failed" in problem


async def test_contents_have_different_tags(ingest: Ingest, paths: dict[str, str]) -> None:
    tags = {(await ask(ingest, path))[1]["ETag"] for path in [*paths.values(), paths["srt"] + "&max_chars=10"]}
    assert len(tags) == 5


async def test_dates(ingest: Ingest, paths: dict[str, str]) -> None:
    path = paths["audio"]
    _, first, _ = await ask(ingest, path)
    stored = first["Last-Modified"]
    for name, text, status in (
        ("If-Modified-Since", stored, 304),
        ("If-Modified-Since", LATER, 304),
        ("If-Modified-Since", EARLIER, 200),
        ("If-Modified-Since", "yesterday", 200),
        ("If-Modified-Since", "Sunday, 06-Nov-94 08:49:37 GMT", 200),
        ("If-Unmodified-Since", stored, 200),
        ("If-Unmodified-Since", EARLIER, 412),
        ("If-Unmodified-Since", "yesterday", 200),
    ):
        assert (await ask(ingest, path, {name: text}))[0] == status, (name, text)


@pytest.mark.parametrize("kind", ["audio", "denoised"])
async def test_head_has_the_same_headers_and_preconditions(ingest: Ingest, paths: dict[str, str], kind: str) -> None:
    _, whole, body = await ask(ingest, paths[kind])
    status, headers, nothing = await ask(ingest, paths[kind], method="HEAD")
    assert (status, nothing, headers["Content-Length"]) == (200, b"", str(len(body)))
    for name in ("ETag", "Last-Modified", "Content-Disposition", "Content-Type", "Accept-Ranges"):
        assert headers[name] == whole[name]
    assert (await ask(ingest, paths[kind], {"If-None-Match": whole["ETag"]}, "HEAD"))[0] == 304
    assert (await ask(ingest, paths[kind], {"If-Match": '"other"'}, "HEAD"))[0] == 412


async def test_if_range(ingest: Ingest, paths: dict[str, str]) -> None:
    path = paths["audio"]
    _, first, _ = await ask(ingest, path)
    etag, stored = first["ETag"], first["Last-Modified"]
    for validator in (etag, stored):
        status, headers, body = await ask(ingest, path, {"Range": PART, "If-Range": validator})
        assert (status, body) == (206, AUDIO[1000:2000])
        assert (headers["ETag"], headers["Content-Range"]) == (etag, f"bytes 1000-1999/{len(AUDIO)}")
    for validator in ('"other"', f"W/{etag}", etag.strip('"'), EARLIER, LATER, "nonsense", "*"):
        status, headers, body = await ask(ingest, path, {"Range": PART, "If-Range": validator})
        assert (status, body, headers.get("Content-Range")) == (200, AUDIO, None), validator
    beyond = {"Range": f"bytes={len(AUDIO)}-"}
    assert (await ask(ingest, path, {**beyond, "If-Range": '"other"'}))[0] == 200
    assert (await ask(ingest, path, {**beyond, "If-Range": etag}))[0] == 416
    assert (await ask(ingest, path, {"If-Range": etag}))[0] == 200
    assert (await ask(ingest, path, {"Range": PART, "If-None-Match": etag}))[0] == 304


async def test_a_range_of_changed_audio_gets_the_new_audio(ingest: Ingest, paths: dict[str, str]) -> None:
    """A repeated diarization does not change the denoised audio; another generation does."""
    path, job_id = paths["denoised"], paths["audio"].split("/")[3]
    _, before, _ = await ask(ingest, path)
    (row,) = await ingest.sql("UPDATE jobs SET generation = 2 WHERE id = $1 RETURNING id", job_id)
    await ingest.blobs.put(blob_keys.denoised(row["id"], 2), b"fLaC DENOISED")

    status, after, body = await ask(ingest, path, {"Range": "bytes=4-", "If-Range": before["ETag"]})

    assert (status, body) == (200, b"fLaC DENOISED")
    assert after["ETag"] != before["ETag"]
    status, _, body = await ask(ingest, path, {"Range": "bytes=4-", "If-Range": after["ETag"]})
    assert (status, body) == (206, b" DENOISED")


async def test_downloads_are_named_as_the_client_named_the_audio(ingest: Ingest, paths: dict[str, str]) -> None:
    names = {kind: (await ask(ingest, path))[1]["Content-Disposition"] for kind, path in paths.items()}
    assert names == {
        "audio": "attachment; filename=\"Gro_e 1.wav\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe%201.wav",
        "denoised": 'attachment; filename="Gro_e 1.denoised.flac"; '
        "filename*=UTF-8''Gr%C3%B6%C3%9Fe%201.denoised.flac",
        "json": "inline; filename=\"Gro_e 1.json\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe%201.json",
        "srt": "inline; filename=\"Gro_e 1.srt\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe%201.srt",
    }


async def test_the_job_shows_the_file_name_until_it_is_erased(ingest: Ingest) -> None:
    data = aiohttp.FormData(quote_fields=False)
    data.add_field("audio_file", wav(), filename="../Größe\u200b1.wav")
    _, named = await ingest.post(data)
    unnamed = await ingest.submit(wav())
    shown: dict[str, Any] = {job["job_id"]: job["filename"] for job in (await ingest.get("/v1/jobs"))[1]["jobs"]}
    assert shown == {named["job_id"]: "../Größe1.wav", unnamed: None}
    assert (await ingest.get(f"/v1/jobs/{named['job_id']}"))[1]["filename"] == "../Größe1.wav"
    await ingest.delete(f"/v1/jobs/{named['job_id']}")
    (row,) = await ingest.sql("SELECT filename FROM jobs WHERE id = $1", named["job_id"])
    assert row["filename"] is None


async def test_a_date_of_a_future_client_clock_is_compared_by_its_value(ingest: Ingest, paths: dict[str, str]) -> None:
    tomorrow = format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(days=1), usegmt=True)
    assert (await ask(ingest, paths["audio"], {"If-Modified-Since": tomorrow}))[0] == 304


ENDLESS = "Mon, 01 Jan 2024 00:00:00 +99999999999999999999"


@KINDS
@pytest.mark.parametrize("name", ["If-Modified-Since", "If-Unmodified-Since", "If-Range"])
async def test_a_date_of_any_length_is_no_defect(ingest: Ingest, paths: dict[str, str], kind: str, name: str) -> None:
    for text in (ENDLESS, "Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "Mon, 01 Jan 0001 00:00:00 +2359"):
        status, _, body = await ask(ingest, paths[kind], {name: text})
        assert (status, bool(body)) in {(200, True), (412, True)}
