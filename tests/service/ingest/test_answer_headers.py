"""Answer headers for browsers: no answer is a page, and CORS allows the configured origins only."""

import asyncio
import io
from typing import Any

import pytest

from ingest_service.middleware.answer_headers import SECURITY_HEADERS
from ingest_service.settings import IngestSettings
from shared.settings import SettingsError, load_settings
from tests.service.ingest.test_submit import file_body
from tests.support.ingest.raw_http import exchange
from tests.support.ingest.serving import Ingest, serving
from tests.support.ingest.sounds import wav
from tests.unit.ingest.test_pure_parts import URLS

APP = "https://app.example.com"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
PREFLIGHT = {"Origin": APP, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}


async def answer_headers(ingest: Ingest, method: str, path: str, **options: Any) -> tuple[int, Any]:
    async with ingest.client.request(method, ingest.url + path, **options) as answer:
        await answer.read()
        return answer.status, answer.headers


async def test_no_answer_renders_as_a_page(ingest: Ingest) -> None:
    job = f"/v1/jobs/{await ingest.submit(wav())}"
    upload = {"data": io.BytesIO(wav()), "headers": {"Content-Type": "audio/wav"}}
    answers = [
        await answer_headers(ingest, "GET", "/health/live"),
        await answer_headers(ingest, "GET", "/schema"),
        await answer_headers(ingest, "GET", "/nowhere"),
        await answer_headers(ingest, "PUT", "/v1/jobs"),
        await answer_headers(ingest, "POST", "/v1/jobs", **upload),
        await answer_headers(ingest, "POST", "/v1/jobs", data=b"x"),
        await answer_headers(ingest, "POST", "/v1/jobs", data=b"x", headers={"Content-Encoding": "gzip"}),
        await answer_headers(ingest, "GET", job),
        await answer_headers(ingest, "GET", f"{job}/audio"),
        await answer_headers(ingest, "HEAD", f"{job}/audio"),
        await answer_headers(ingest, "GET", f"{job}/audio", headers={"Range": "bytes=0-9"}),
        await answer_headers(ingest, "GET", f"{job}/audio", headers={"Range": "bytes=99999999-"}),
        await answer_headers(ingest, "DELETE", job),
    ]
    assert [status for status, _ in answers] == [200, 200, 404, 405, 202, 415, 415, 200, 200, 200, 206, 416, 204]
    for name, value in SECURITY_HEADERS:
        assert {tuple(headers.getall(name.decode())) for _, headers in answers} == {(value.decode(),)}
    refused = await exchange(ingest, b"nonsense\r\n\r\n")
    assert all(name + b": " + value in refused for name, value in SECURITY_HEADERS)


HOSTILE_NAMES = {
    "../../etc/passwd": 'filename="passwd.wav"',
    'a"; filename="b.html': "filename=\"a__ filename=_b.html.wav\"; filename*=UTF-8''a_%3B%20filename%3D_b.html.wav",
    "a\u202egpj.html": 'filename="agpj.html.wav"',
    "音声.html": "filename=\"__.html.wav\"; filename*=UTF-8''%E9%9F%B3%E5%A3%B0.html.wav",
    "a\r\nX-Injected: 1": 'filename="aX-Injected_ 1.wav"',
    "x" * 3000: f'filename="{"x" * 200}.wav"',
}


@pytest.mark.parametrize("name", HOSTILE_NAMES)
async def test_a_download_is_an_attachment_with_a_safe_file_name(ingest: Ingest, name: str) -> None:
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    status, body = await ingest.post(file_body("x", name, wav()), headers=form)
    assert status == 202, body
    _, headers = await answer_headers(ingest, "GET", f"/v1/jobs/{body['job_id']}/audio")
    assert headers["Content-Disposition"] == f"attachment; {HOSTILE_NAMES[name]}"
    assert "X-Injected" not in headers
    assert headers["Content-Type"] == "audio/wav"


async def test_no_origin_is_allowed_by_default(ingest: Ingest) -> None:
    status, headers = await answer_headers(ingest, "OPTIONS", "/v1/jobs", headers=PREFLIGHT)
    assert not [name for name in headers if name.startswith("Access-Control")], status


async def test_pages_of_configured_origins_may_use_the_api(settings: IngestSettings) -> None:
    async with serving(settings, cors_origins=(APP, "http://localhost:5173")) as ingest:
        status, headers = await answer_headers(ingest, "OPTIONS", "/v1/jobs", headers=PREFLIGHT)
        assert (status, headers["Access-Control-Allow-Origin"]) == (204, APP)
        assert "POST" in headers["Access-Control-Allow-Methods"]
        assert "Content-Type" in headers["Access-Control-Allow-Headers"]
        for method, path in (("GET", "/v1/jobs"), ("GET", "/nowhere"), ("POST", "/v1/jobs")):
            _, headers = await answer_headers(ingest, method, path, headers={"Origin": APP})
            assert headers["Access-Control-Allow-Origin"] == APP
            assert "Retry-After" in headers["Access-Control-Expose-Headers"]
            assert headers.getall("Vary") == ["Origin"]


async def test_pages_of_configured_origins_may_use_every_method_of_the_api(settings: IngestSettings) -> None:
    async with serving(settings, cors_origins=(APP,)) as ingest:
        _, schema = await ingest.get("/schema/openapi.json")
        of_routes = {method.upper() for path in schema["paths"].values() for method in path} & set(METHODS)
        _, headers = await answer_headers(ingest, "OPTIONS", "/v1/jobs", headers=PREFLIGHT)
        assert of_routes >= {"GET", "PUT", "PATCH"}
        assert of_routes <= set(headers["Access-Control-Allow-Methods"].split(", "))


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "https://app.example.com.evil.example", "http://app.example.com", "null", ""]
)
async def test_pages_of_other_origins_are_refused(settings: IngestSettings, origin: str) -> None:
    async with serving(settings, cors_origins=(APP,)) as ingest:
        for method in ("OPTIONS", "GET"):
            _, headers = await answer_headers(ingest, method, "/v1/jobs", headers=PREFLIGHT | {"Origin": origin})
            assert "Access-Control-Allow-Origin" not in headers
            assert headers["Vary"] == "Origin"


async def test_an_options_request_without_preflight_headers_reaches_the_route(settings: IngestSettings) -> None:
    async with serving(settings, cors_origins=(APP,)) as ingest:
        _, headers = await answer_headers(ingest, "OPTIONS", "/v1/jobs", headers={"Origin": APP})
        assert headers["Allow"] == "GET, HEAD, OPTIONS, POST"
        _, headers = await answer_headers(ingest, "OPTIONS", f"/v1/jobs/{'x' * 36}", headers={"Origin": APP})
        assert headers["Allow"] == "DELETE, GET, HEAD, OPTIONS"


@pytest.mark.parametrize(
    "origin", ["*", "null", "app.example.com", "https://App.example.com", "https://a.example/", "a b"]
)
def test_an_invalid_origin_is_refused_at_start(origin: str) -> None:
    environ = URLS | {"HEADRACE_AUTH": "none", "HEADRACE_CORS_ORIGINS": f"{APP},{origin}"}
    with pytest.raises(SettingsError, match="HEADRACE_CORS_ORIGINS"):
        load_settings(IngestSettings, environ)


def test_origins_are_comma_separated() -> None:
    environ = URLS | {"HEADRACE_AUTH": "none", "HEADRACE_CORS_ORIGINS": f"{APP}, http://[::1]:3000"}
    assert load_settings(IngestSettings, environ).cors_origins == (APP, "http://[::1]:3000")


async def test_a_head_answer_has_the_length_of_the_audio(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    _, headers = await answer_headers(ingest, "HEAD", f"/v1/jobs/{job_id}/audio")
    assert int(headers["Content-Length"]) == len(wav())


async def test_concurrent_answers_have_their_own_headers(settings: IngestSettings) -> None:
    async with serving(settings, cors_origins=(APP,)) as ingest:
        origins = [APP, "https://evil.example"] * 20
        got = await asyncio.gather(
            *(answer_headers(ingest, "GET", "/health/live", headers={"Origin": origin}) for origin in origins)
        )
    assert [headers.get("Access-Control-Allow-Origin") for _, headers in got] == [APP, None] * 20
