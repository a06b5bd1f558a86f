"""Rates and quotas on every route, upload method and spelling of a path. The routes come from the application."""

import asyncio
import base64
import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from litestar.handlers import HTTPRouteHandler

from ingest_service.auth.caller import NEEDS, Scope
from ingest_service.middleware.authentication import is_open
from ingest_service.middleware.rate_limit import METRICS_PATH
from ingest_service.settings import IngestSettings
from tests.support.ingest.api_keys import bearer, guarded, new_key
from tests.support.ingest.raw_http import connected, head, until_closed
from tests.support.ingest.serving import Ingest, described_app, serving
from tests.support.ingest.sounds import wav
from tests.support.ingest.tus_client import Tus

SLOWLY = 0.001  # requests per second: no token is refilled during a test
SOUND = wav()
ID = "01a22100-8814-70e6-9a02-0c8a2c7661df"
TUS = {"Tus-Resumable": "1.0.0"}
URL_JOB = b'{"audio_url": "https://example.com/a.mp3"}'
BOUNDARY = b'--b\r\nContent-Disposition: form-data; name="audio_file"\r\n\r\n' + SOUND + b"\r\n--b--\r\n"
FILE_BOUNDARY = BOUNDARY.replace(b"audio_file", b"file")
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
# Every way to hand in audio: method, path, headers, body.
UPLOADS: dict[str, tuple[str, str, dict[str, str], bytes]] = {
    "form": ("POST", "/v1/jobs", FORM, BOUNDARY),
    "form at the old path": ("POST", "/api/upload-audio", FORM, BOUNDARY),
    "asr": ("POST", "/asr", FORM, BOUNDARY),
    "language": ("POST", "/detect-language", FORM, BOUNDARY),
    "raw": ("POST", "/v1/jobs", {"Content-Type": "audio/wav"}, SOUND),
    "url": ("POST", "/v1/jobs", {"Content-Type": "application/json"}, URL_JOB),
    "url alone": ("POST", "/v1/jobs/remote", {"Content-Type": "application/json"}, URL_JOB),
    "once": ("POST", "/v1/jobs", {"Content-Type": "audio/wav", "Idempotency-Key": "k"}, SOUND),
    "tus": ("POST", "/v1/uploads", TUS | {"Upload-Length": str(len(SOUND))}, b""),
    "tus, deferred": ("POST", "/v1/uploads", TUS | {"Upload-Defer-Length": "1"}, b""),
    "tus by GET": ("GET", "/v1/uploads", TUS | {"Upload-Length": "9", "X-HTTP-Method-Override": "POST"}, b""),
    "transcription": ("POST", "/v1/audio/transcriptions", FORM, FILE_BOUNDARY),
    "translation": ("POST", "/v1/audio/translations", FORM, FILE_BOUNDARY),
    "azure transcription": ("POST", "/openai/deployments/x/audio/transcriptions", FORM, FILE_BOUNDARY),
    "azure translation": ("POST", "/openai/deployments/x/audio/translations", FORM, FILE_BOUNDARY),
    "presigned": ("POST", "/v1/uploads/presigned", {}, b""),
}
# PATCH needs an upload that exists: test_upload_reservations tests it.
APPEND = "/v1/uploads/{upload_id:str}"
# Routes with the scope `submit` that take neither audio nor a job.
NO_UPLOADS = {f"/v1/jobs/{{job_id:str}}/{action}" for action in ("cancel", "webhook", "diarize", "transcript/edits")}
NO_UPLOADS |= {"/v1/voices", "/v1/vocabulary"}
SPELLINGS = ["{}", "/{}", "{}/", "{}//", "//{}", "/./{}".replace("/./", "///")]


def handlers(settings: IngestSettings) -> Iterator[tuple[str, HTTPRouteHandler]]:
    for route in described_app(settings).routes:
        for handler in getattr(route, "route_handlers", ()):
            yield route.path, handler


def test_every_route_that_takes_audio_is_in_the_table(settings: IngestSettings) -> None:
    taking = {
        path
        for path, handler in handlers(settings)
        if handler.opt.get(NEEDS) is Scope.SUBMIT and handler.http_methods & {"POST", "PUT", "PATCH"}
    }
    named = {path.replace("/{deployment:str}/", "/x/") for path in taking}
    assert named - NO_UPLOADS == {path for _, path, *_ in UPLOADS.values()} | {APPEND}


async def send(
    ingest: Ingest, method: str, path: str, headers: dict[str, str], body: bytes = b""
) -> tuple[int, dict[str, Any]]:
    """Send a request with exactly this path: client libraries normalize it."""
    lines = [f"{name}: {value}" for name, value in headers.items()]
    async with connected(ingest) as (reader, writer):
        length = f"Content-Length: {len(body)}"
        writer.write(head(*lines, length, "Connection: close", line=f"{method} {path} HTTP/1.1") + body)
        answer = await until_closed(reader)
    start, _, content = answer.partition(b"\r\n\r\n")
    code = content.partition(b'"code":"')[2].partition(b'"')[0].decode()
    return int(start.split()[1]), {"code": code, "detail": content.decode(errors="replace")}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("method", UPLOADS)
async def test_an_exhausted_quota_refuses_every_upload_method(
    settings: IngestSettings, method: str, spelling: str
) -> None:
    verb, path, headers, body = UPLOADS[method]
    async with serving(settings, quota_bytes_a_day=1) as ingest:
        await ingest.sql("INSERT INTO tenant_usage (tenant, day, shard, bytes) VALUES ('default', usage_day(), 99, 1)")
        status, problem = await send(ingest, verb, spelling.format(path), headers, body)
        assert (status, problem["code"]) == (429, "quota_exceeded"), problem
        assert "bytes_a_day" in problem["detail"]
        await ingest.assert_nothing_is_left()
        assert await ingest.sql("SELECT id FROM uploads") == []


@pytest.mark.parametrize(
    "path", ["//v1/jobs", "/v1//jobs", "/v1/jobs/", "/%761/jobs", "/v1%2Fjobs", "///api/upload-audio"]
)
async def test_an_odd_path_takes_an_upload_slot(settings: IngestSettings, path: str) -> None:
    slow = head("Content-Type: audio/wav", "Content-Length: 30000", line=f"POST {path} HTTP/1.1") + SOUND[:9]
    async with serving(settings, quota_uploads_at_once=1) as ingest:

        async def is_refused_beside_it() -> bool:
            async with connected(ingest) as (_, writer):
                writer.write(slow)  # it is the one that is refused, if it comes later
                status, problem = await send(ingest, "POST", "/v1/jobs", {"Content-Type": "audio/wav"}, SOUND)
                return status == 429 and "uploads_at_once" in problem["detail"]

        async with asyncio.timeout(10):
            while not await is_refused_beside_it():
                pass


async def test_an_exhausted_rate_refuses_every_route_by_every_method(settings: IngestSettings) -> None:
    async with serving(settings, rate_limit=SLOWLY, rate_burst=1) as ingest:
        assert (await ingest.get("/v1/jobs"))[0] == 200
        for template, handler in handlers(settings):
            path = "/".join(ID if part.startswith("{") else part for part in template.split("/"))
            for verb in sorted(handler.http_methods - {"OPTIONS"}):
                if not is_open(verb, path) and path != METRICS_PATH:
                    assert (await send(ingest, verb, path, {}))[0] == 429, (verb, path)
                    assert (await send(ingest, verb, "/" + path, {}))[0] == 429, (verb, path)


async def test_keys_do_not_multiply_a_tenants_rate(settings: IngestSettings) -> None:
    keys = [(await new_key(settings, "acme", purpose=f"p{number}")).key for number in range(5)]
    other = (await new_key(settings, "other")).key
    async with guarded(settings, rate_limit=SLOWLY, rate_burst=1, tenant_rate_limit=3.0) as ingest:
        statuses = []
        for key in keys:
            async with ingest.client.get(ingest.url + "/v1/jobs", headers=bearer(key)) as answer:
                statuses.append(answer.status)
        assert statuses.count(429) >= 1
        assert statuses[0] == 200
        async with ingest.client.get(ingest.url + "/v1/jobs", headers=bearer(other)) as answer:
            assert answer.status == 200


async def test_a_tenant_has_a_rate_without_a_setting_of_its_own(settings: IngestSettings) -> None:
    keys = [(await new_key(settings, "acme", purpose=f"p{number}")).key for number in range(11)]
    async with guarded(settings, rate_limit=SLOWLY, rate_burst=1) as ingest:
        statuses = []
        for key in keys:
            async with ingest.client.get(ingest.url + "/v1/jobs", headers=bearer(key)) as answer:
                statuses.append(answer.status)
        assert statuses == [200] * 10 + [429]


DIGEST = f"sha-256=:{base64.b64encode(hashlib.sha256(SOUND).digest()).decode()}:"


@pytest.mark.parametrize("field", ["Content-Digest", "Repr-Digest"])
@pytest.mark.parametrize("between", [", ", "\r\n"], ids=["one line", "several lines"])
@pytest.mark.parametrize("times", [2, 90])
async def test_a_digest_algorithm_may_be_named_once(ingest: Ingest, field: str, between: str, times: int) -> None:
    value = DIGEST if between == ", " else f"{DIGEST}"
    repeated = ", ".join([value] * times) if between == ", " else f"\r\n{field}: ".join([value] * times)
    status, problem = await send(ingest, "POST", "/v1/jobs", {"Content-Type": "audio/wav", field: repeated}, SOUND)
    assert (status, problem["code"]) == (400, "invalid_digest")
    await ingest.assert_nothing_is_left()


async def test_the_head_of_a_tus_upload_is_bounded(ingest: Ingest) -> None:
    tus = Tus.to(ingest)
    pairs = ",".join(f"name{number} YQ==" for number in range(65))
    for metadata in (pairs, "metadata " + "A" * (25 << 10)):
        assert (await tus.create(9, Upload_Metadata=metadata)).code == "invalid_option"
