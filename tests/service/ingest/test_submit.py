"""Uploads over real HTTP: what is accepted, what is refused, and that a refusal leaves nothing."""

import asyncio
import hashlib
import http.client
import io
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
import pytest
from redis.asyncio import Redis

from ingest_service.settings import IngestSettings
from shared.blobs import blob_keys
from shared.queue.dispatch import COMPUTE_QUEUE
from tests.support.ingest.corpus import CORPUS, corpus, must_be_taken, sniff_file
from tests.support.ingest.serving import Ingest, serving, until
from tests.support.ingest.sounds import MIB, wav, wav_header

WAV_TYPE = {"Content-Type": "audio/wav"}


def form(*fields: tuple[str, Any]) -> aiohttp.FormData:
    data = aiohttp.FormData()
    for name, value in fields:
        if isinstance(value, bytes):
            data.add_field(name, value, filename="talk.wav", content_type="application/x-unknown")
        else:
            data.add_field(name, value)
    return data


def multipart_body(boundary: str, *parts: tuple[str, bytes]) -> bytes:
    pieces = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + value + b"\r\n"
        for name, value in parts
    ]
    return b"".join(pieces) + f"--{boundary}--\r\n".encode()


def file_body(boundary: str, filename: str, audio: bytes) -> bytes:
    """A form with a file, its name as a browser writes it: unescaped except quotes and line breaks."""
    name = filename.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="audio_file"; filename="{name}"\r\n\r\n'
    return head.encode() + audio + f"\r\n--{boundary}--\r\n".encode()


@pytest.mark.parametrize("path", ["/v1/jobs", "/api/upload-audio"])
async def test_a_form_becomes_a_job(ingest: Ingest, path: str) -> None:
    audio = wav()
    fields = form(("language", "en"), ("audio_file", audio), ("denoise", "false"), ("metadata", '{"n": 1.0}'))
    async with ingest.client.post(ingest.url + path, data=fields) as answer:
        body = await answer.json()
        assert answer.status == 202
        assert answer.headers["Location"] == f"/v1/jobs/{body['job_id']}" == body["links"]["self"]
    assert body["status"] == "QUEUED"
    (job,) = await ingest.sql("SELECT * FROM jobs")
    assert str(job["id"]) == body["job_id"]
    assert (job["container"], job["source_bytes"], job["filename"]) == ("wav", len(audio), "talk.wav")
    assert job["source_sha256"] == hashlib.sha256(audio).hexdigest()
    assert msgspec.json.decode(job["options"]) == {"language": "en", "denoise": False}
    assert await ingest.blobs.get(blob_keys.source(job["id"])) == audio
    (task,) = await ingest.sql("SELECT * FROM tasks")
    assert (task["job_id"], task["kind"], task["state"], task["dispatch_no"]) == (
        job["id"], "prepare", "dispatched", 1,
    )  # fmt: skip


@pytest.mark.parametrize("content_type", ["audio/wav", "video/mp4", "application/octet-stream", "Audio/WAV; x=y"])
async def test_raw_bytes_with_options_in_the_query(ingest: Ingest, content_type: str) -> None:
    query = {"language": "de", "webhook_url": "http://example.com/x", "metadata": '"ä"'}
    status, body = await ingest.post(wav(), params=query, headers={"Content-Type": content_type})
    assert status == 202, body
    (job,) = await ingest.sql("SELECT * FROM jobs")
    assert (job["options"], job["webhook_url"], job["metadata"]) == ('{"language":"de"}', query["webhook_url"], '"ä"')


async def test_the_dispatch_is_sent_after_the_commit(ingest: Ingest) -> None:
    await ingest.submit(wav())
    (task,) = await ingest.sql("SELECT id FROM tasks")
    async with Redis.from_url(ingest.settings.redis_url.reveal()) as redis:

        async def is_dispatched() -> bool:
            return await redis.zscore(COMPUTE_QUEUE, f"{task['id']}.1") is not None

        await until(is_dispatched)
        assert await redis.exists(f"arq:job:{task['id']}.1")


REFUSED_FORMS = [
    ([("audio_file", wav()), ("colour", "red")], 400, "invalid_option", "colour"),
    ([("colour", "red"), ("audio_file", wav())], 400, "invalid_option", "colour"),
    ([("audio_file", wav()), ("denoise", "1x")], 400, "invalid_option", "denoise"),
    ([("audio_file", wav()), ("task", "translate"), ("task", "translate")], 400, "invalid_option", "task"),
    ([("audio_file", wav()), ("prompt", "x" * 70000)], 400, "invalid_option", "prompt"),
    ([("audio_file", wav()), ("audio_file", wav())], 400, "invalid_form", "audio_file"),
    ([("language", "en")], 400, "missing_audio_file", "audio_file"),
    ([("audio_file", b"")], 400, "empty_upload", ""),
    ([("audio_file", b"<html>" * 2000)], 415, "unsupported_media", "Invalid format. "),
]


@pytest.mark.parametrize(("fields", "status", "code", "said"), REFUSED_FORMS, ids=lambda value: str(value)[:30])
async def test_refused_forms_leave_nothing(ingest: Ingest, fields: Any, status: int, code: str, said: str) -> None:
    data = aiohttp.MultipartWriter("form-data")  # always a multipart form, also without a file
    for name, value in fields:
        data.append(value).set_content_disposition("form-data", name=name)
    got, problem = await ingest.post(data)
    assert (got, problem["status"], problem["code"]) == (status, status, code)
    assert said in problem["detail"]
    await ingest.assert_nothing_is_left()


@pytest.mark.parametrize(
    ("content_type", "body", "status", "code"),
    [
        ("audio/wav", b"", 400, "empty_upload"),
        ("audio/wav", b"RIFF", 415, "unsupported_media"),
        ("text/plain", wav(), 415, "unsupported_content_type"),
        ("application/x-www-form-urlencoded", wav(), 415, "unsupported_content_type"),
        ("application/json", b"{}", 400, "invalid_option"),
        ("multipart/form-data", wav(), 400, "invalid_form"),
        ("multipart/form-data; boundary=x", wav(), 400, "invalid_form"),
        ("multipart/form-data; boundary=x", b"", 400, "invalid_form"),
        ("multipart/form-data; boundary=x", multipart_body("x", ("audio_file", wav()))[:-9], 400, "invalid_form"),
        ("multipart/form-data; boundary=x", multipart_body("x", *[(f"f{n}", b"") for n in range(99)]), 400, None),
    ],
)
async def test_refused_bodies_leave_nothing(
    ingest: Ingest, content_type: str, body: bytes, status: int, code: str | None
) -> None:
    got, problem = await ingest.post(body, headers={"Content-Type": content_type})
    assert (got, problem["code"]) == (status, code or "invalid_option")
    await ingest.assert_nothing_is_left()


async def test_the_original_route_accepts_forms_only(ingest: Ingest) -> None:
    status, problem = await ingest.post(wav(), path="/api/upload-audio", headers=WAV_TYPE)
    assert (status, problem["code"]) == (415, "unsupported_content_type")


async def chunks(count: int) -> AsyncIterator[bytes]:
    yield wav_header(count * 1000)
    for _ in range(count):
        yield bytes(1000)


@pytest.mark.parametrize("as_form", [False, True])
async def test_a_large_body_without_a_length_is_refused(settings: IngestSettings, as_form: bool) -> None:  # noqa: FBT001
    async with serving(settings, max_upload_bytes=50_000) as ingest:
        if as_form:
            data: Any = aiohttp.FormData()
            data.add_field("audio_file", chunks(60), filename="x.wav")
            status, problem = await ingest.post(data)
        else:
            status, problem = await ingest.post(chunks(60), headers=WAV_TYPE)
        assert (status, problem["code"]) == (413, "too_large")
        await ingest.assert_nothing_is_left()
        assert (await ingest.post(chunks(40), headers=WAV_TYPE))[0] == 202


async def test_a_large_declared_length_is_refused_before_the_body(settings: IngestSettings) -> None:
    async with serving(settings, max_upload_bytes=1000) as ingest:
        reader, writer = await asyncio.open_connection(*ingest.address)
        writer.write(b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: audio/wav\r\nContent-Length: 1001\r\n\r\n")
        assert b" 413 " in await asyncio.wait_for(reader.readline(), 5)
        writer.close()


@pytest.mark.parametrize("content_type", ["audio/wav", "text/plain"])
async def test_a_client_that_only_sends_receives_an_early_refusal(ingest: Ingest, content_type: str) -> None:
    def send() -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(*ingest.address, timeout=30)
        try:
            connection.request("POST", "/v1/jobs", body=b"no audio" * (6 * MIB), headers={"Content-Type": content_type})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    status, body = await asyncio.to_thread(send)
    assert status == 415
    assert msgspec.json.decode(body)["code"].startswith("unsupported_")
    await ingest.assert_nothing_is_left()


async def test_an_early_refusal_is_sent_immediately(ingest: Ingest) -> None:
    """After the first kilobytes, before the client sends the rest."""
    reader, writer = await asyncio.open_connection(*ingest.address)
    head = b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: audio/wav\r\nContent-Length: 900000\r\n\r\n"
    writer.write(head + b"no audio" * 2000)
    assert b" 415 " in await asyncio.wait_for(reader.readline(), 5)
    writer.close()


@pytest.mark.parametrize("as_form", [False, True])
async def test_a_disconnected_client_leaves_nothing(ingest: Ingest, as_form: bool) -> None:  # noqa: FBT001
    _, writer = await asyncio.open_connection(*ingest.address)
    body = multipart_body("x", ("audio_file", wav(20 * MIB))) if as_form else wav(20 * MIB)
    content_type = "multipart/form-data; boundary=x" if as_form else "audio/wav"
    head = f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body[: 12 * MIB])
    await writer.drain()

    async def part_is_written() -> bool:
        return any(file.stat().st_size for file in ingest.stored_files())

    await until(part_is_written)
    writer.transport.abort()

    async def nothing_is_stored() -> bool:
        return ingest.stored_files() == []

    await until(nothing_is_stored)
    await ingest.assert_nothing_is_left()


@pytest.mark.corpus
async def test_corpus_over_http(ingest: Ingest) -> None:
    """Every valid file is accepted, also under hostile names; others are refused; nothing causes a 500.

    A file that is to be rejected for what stands behind its first bytes is taken here, and its job FAILS.
    """
    files = [item for item in corpus() if item["bytes"] < 3 * MIB]
    if not files:
        pytest.skip("the folder shared/audio does not stand beside the repository")
    for item in files:
        body = file_body("x", item.get("upload_name", "x.wav"), (CORPUS / item["file"]).read_bytes())
        form = {"Content-Type": "multipart/form-data; boundary=x"}
        status, problem = await ingest.post(io.BytesIO(body), headers=form)
        is_valid_form = "\0" not in item.get("upload_name", "")  # a header without NUL
        taken = is_valid_form and (must_be_taken(item) or sniff_file(item))
        assert status == 202 if taken else status in {400, 415}, (item["file"], problem)
    assert {path.name.endswith("source") for path in ingest.stored_files()} == {True}


@pytest.mark.corpus
async def test_a_gzip_bomb_is_refused_as_a_file_and_as_an_encoding(ingest: Ingest) -> None:
    bomb = CORPUS / "malformed/gzip_bomb.wav.gz"
    if not bomb.exists():
        pytest.skip("the folder shared/audio does not stand beside the repository")
    for headers, code in ((WAV_TYPE, "media"), ({**WAV_TYPE, "Content-Encoding": "gzip"}, "content_encoding")):
        status, problem = await ingest.post(bomb.read_bytes(), headers=headers)
        assert (status, problem["code"]) == (415, f"unsupported_{code}")
    await ingest.assert_nothing_is_left()


@pytest.mark.parametrize(
    "name", ["../../../../tmp/evil.wav", "/etc/passwd", 'semi;colon"quote.wav', "音声 🎙️.wav", "a%00b.wav", "x" * 3000]
)
async def test_hostile_file_names_are_stored_as_text(ingest: Ingest, name: str) -> None:
    data = aiohttp.FormData(quote_fields=False)
    data.add_field("audio_file", wav(), filename=name.replace('"', "%22"))
    status, body = await ingest.post(data)
    assert status == 202, body
    assert [path.name.endswith("source") for path in ingest.stored_files()] == [True]
