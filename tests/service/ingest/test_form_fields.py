"""The part of a form that holds the audio: `audio_file`, or what clients of other services send."""

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.support.ingest.serving import Ingest
from tests.support.ingest.sounds import wav

SMALL, LARGE = wav(), wav(300 << 10)  # received as a whole, and streamed
HINT = "The audio goes into `audio_file`, as a file."
ROUTES = pytest.mark.parametrize("path", ["/v1/jobs", "/api/upload-audio"])
SIZES = pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])

Part = tuple[str, bytes | str, str | None]  # name, content, file name


def form(*parts: Part) -> aiohttp.MultipartWriter:
    data = aiohttp.MultipartWriter("form-data")
    for name, content, filename in parts:
        part = data.append(content)
        if filename is None:
            part.set_content_disposition("form-data", name=name)
        else:
            part.set_content_disposition("form-data", name=name, filename=filename)
    return data


@ROUTES
@SIZES
@pytest.mark.parametrize("name", ["audio_file", "file", "audio"])
async def test_one_file_is_the_audio(ingest: Ingest, path: str, content: bytes, name: str) -> None:
    status, answer = await ingest.post(form(("language", "en", None), (name, content, "talk.wav")), path)

    assert status == 202, answer
    (job,) = await ingest.sql("SELECT filename, source_bytes FROM jobs")
    assert tuple(job) == ("talk.wav", len(content))


@ROUTES
@SIZES
@pytest.mark.parametrize("name", ["audiofile", "upload", "data", "files[]", "File", "", "x" * 200])
async def test_any_other_file_is_refused_with_the_name_to_use(
    ingest: Ingest, path: str, content: bytes, name: str
) -> None:
    status, problem = await ingest.post(form((name, content, "talk.wav")), path)

    assert (status, problem["code"]) == (400, "missing_audio_file")
    assert problem["detail"].startswith(HINT)
    assert f"`{name[:64]}`" in problem["detail"]
    await ingest.assert_nothing_is_left()


@SIZES
@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([("file", None, None)], "missing_audio_file"),  # no file: curl -F file=<talk.wav, or without the @
        ([("language", "en", None)], "missing_audio_file"),
        ([("file", None, "a.wav"), ("audio", None, "b.wav")], "invalid_form"),
        ([("audio_file", None, "a.wav"), ("file", None, "b.wav")], "invalid_form"),
        ([("audio_file", None, "a.wav"), ("cover", None, "b.png")], "invalid_form"),
        ([("recording", None, None)], "invalid_option"),
    ],
)
async def test_anything_else_is_refused(ingest: Ingest, content: bytes, parts: list[Any], code: str) -> None:
    filled = [(name, content if text is None else text, filename) for name, text, filename in parts]
    status, problem = await ingest.post(form(*filled))

    assert (status, problem["code"]) == (400, code)
    assert "`audio_file`" in problem["detail"] or "Options: " in problem["detail"]
    await ingest.assert_nothing_is_left()


async def test_an_option_may_be_sent_as_a_file(ingest: Ingest) -> None:
    """As `curl -F metadata=@facts.json` does."""
    status, _ = await ingest.post(form(("metadata", '{"a": 1}', "facts.json"), ("audio_file", SMALL, "talk.wav")))

    assert status == 202
    assert [row["metadata"] for row in await ingest.sql("SELECT metadata FROM jobs")] == ['{"a":1}']


@pytest.mark.parametrize("disposition", ['name="upload"; filename="talk.wav"', 'name="upload"'])
async def test_the_answer_does_not_wait_for_a_large_body(ingest: Ingest, disposition: str) -> None:
    """The client has sent the head of the part and a thousandth of the body, and then sends nothing."""
    reader, writer = await asyncio.open_connection(*ingest.address)
    head = f"--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + SMALL
    writer.write(
        b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        b"Content-Length: 1000000000\r\n\r\n" + head
    )
    async with asyncio.timeout(5):
        answer = await reader.readuntil(b"}")
    writer.close()

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"`audio_file`" in answer or b"Options: " in answer
    await ingest.assert_nothing_is_left()
