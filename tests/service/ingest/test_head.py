"""HEAD on every route with a GET: the same status and headers, no body. The routes come from the application."""

import asyncio
from collections.abc import Iterator
from uuid import UUID

import msgspec
import pytest
from litestar.routes import HTTPRoute

from ingest_service.settings import IngestSettings
from shared.blobs import blob_keys
from shared.formats.style import MEDIA_TYPES
from shared.schemas.transcript import Transcript
from tests.support.ingest import records
from tests.support.ingest.api_keys import bearer, guarded, new_key
from tests.support.ingest.raw_http import connected, head, until_closed
from tests.support.ingest.serving import Ingest, described_app
from tests.support.ingest.sounds import wav

VARYING = {
    "date",
    "x-request-id",
    "server-timing",
    "ratelimit",
    "transfer-encoding",
}  # RFC 9110 lets HEAD omit the last
UNKNOWN = "019aa3c5-7a3e-7bd0-9c46-0d6c2f1f7f10"


def readable(settings: IngestSettings) -> Iterator[str]:
    for route in described_app(settings).routes:
        if isinstance(route, HTTPRoute) and "GET" in route.methods:
            yield route.path_format


async def complete(ingest: Ingest, job_id: str) -> None:
    await records.complete(ingest, job_id)
    transcript = Transcript(text="Hello there.", language="en", duration=1.0, segments=())
    await ingest.blobs.put(blob_keys.transcript(UUID(job_id), 1), msgspec.json.encode(transcript))


async def answers(ingest: Ingest, method: str, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str]]:
    """The status and the headers. A stream is not read."""
    varying = VARYING | ({"content-length"} if path == "/metrics" else set())
    async with ingest.client.request(method, ingest.url + path, headers=headers, allow_redirects=False) as answer:
        if method == "HEAD":
            assert await answer.read() == b""
        return answer.status, {name: value for name, value in answer.headers.items() if name.lower() not in varying}


async def test_head_answers_as_get_on_every_route(settings: IngestSettings) -> None:
    paths = sorted(set(readable(settings)))
    assert len(paths) > 12
    async with guarded(settings) as ingest:
        key = bearer((await new_key(settings, "acme")).key)
        job_id = (await ingest.post(wav(), headers=key | {"Content-Type": "audio/wav"}))[1]["job_id"]
        await complete(ingest, job_id)
        for template in paths:
            for value in (job_id, UNKNOWN, "0"):
                path = template.replace("{job_id}", value).replace("{version}", "1")
                expected = await answers(ingest, "GET", path, key)
                assert await answers(ingest, "HEAD", path, key) == expected, path
                assert expected[1].get("Content-Type", "").count("charset") < 2, path


async def test_head_of_formats_parameters_and_refusals(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    await complete(ingest, job_id)
    for path in (
        *(f"/v1/jobs/{job_id}/transcript?format={name}" for name in ("json", *MEDIA_TYPES, "none")),
        *(f"/v1/jobs/{job_id}/transcript/text?format={name}" for name in (*MEDIA_TYPES, "json")),
        *(f"/v1/jobs/{job_id}/transcript/search?q={q}" for q in ("hello", "%21", "")),
        "/v1/jobs?limit=1",
        "/v1/jobs?limit=x",
        "/nothing",
    ):
        expected = await answers(ingest, "GET", path, {})
        assert await answers(ingest, "HEAD", path, {}) == expected, path


async def test_a_stream_ends_after_its_headers_and_the_connection_stays(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())  # queued: the GET would not end
    async with connected(ingest) as (reader, writer):
        writer.write(head(line=f"HEAD /v1/jobs/{job_id}/events HTTP/1.1"))
        first = await reader.readuntil(b"\r\n\r\n")
        writer.write(head("Connection: close", line="GET /health/live HTTP/1.1"))
        rest = await asyncio.wait_for(until_closed(reader), 10)
    assert first.startswith(b"HTTP/1.1 200")
    assert b"text/event-stream" in first.lower()
    assert rest.startswith(b"HTTP/1.1 200"), rest


@pytest.mark.parametrize("path", ["/v1/jobs/remote", "/v1/keys/x", "/api/upload-audio"])
async def test_head_without_a_get_is_refused(ingest: Ingest, path: str) -> None:
    status, headers = await answers(ingest, "HEAD", path, {})
    assert status == 405
    assert not {"GET", "HEAD"} & set(headers["Allow"].split(", "))


async def test_allow_names_head_where_it_names_get(ingest: Ingest) -> None:
    for method in ("OPTIONS", "PUT"):
        _, headers = await answers(ingest, method, "/v1/jobs", {})
        assert headers["Allow"] == "GET, HEAD, OPTIONS, POST"


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/none",
        "/v1/models/a/b",
        "/openai/none",
        "/v1/audio/none",
        "/v1/audio/transcriptions",
        "/v1/models?x=1",
    ],
)
async def test_head_of_an_error_of_openai_has_the_headers_of_its_get(ingest: Ingest, path: str) -> None:
    expected = await answers(ingest, "GET", path, {})

    assert expected[1]["Content-Type"] == "application/json"
    assert await answers(ingest, "HEAD", path, {}) == expected
