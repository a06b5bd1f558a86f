"""A web page cannot use a service without keys: every route and method refuses foreign hosts, origins and types.

The routes come from the application, so a new route is tested, too.
"""

import json
from typing import Any

import msgspec
import pytest
from litestar.handlers import HTTPRouteHandler

from ingest_service.auth.caller import NEEDS, SHOWS
from ingest_service.settings import IngestSettings
from shared.settings import SettingsError, load_settings
from tests.support.ingest.api_keys import bearer, guarded, new_key
from tests.support.ingest.serving import Ingest, described_app, serving
from tests.support.ingest.sounds import wav

SOME_ID = "0190b5e5-0000-7000-8000-000000000000"
SAFE = {"GET", "HEAD", "OPTIONS"}
PAGES = [
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "http://127.0.0.1:3000", "Sec-Fetch-Site": "same-site"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Referer": "https://evil.example/"},
]


def handlers(settings: IngestSettings) -> list[tuple[str, HTTPRouteHandler]]:
    """Return all paths with their handlers."""
    found = [
        (route.path_format, handler)
        for route in described_app(settings).routes
        for handler in getattr(route, "route_handlers", [])
    ]
    assert len(found) > 25
    return found


def requests_of(settings: IngestSettings) -> list[tuple[str, str]]:
    """Return each method and path, with an id in it."""
    return sorted(
        {
            (
                str(method),
                path.replace("{", "").replace("}", "").replace("job_id", SOME_ID).replace("upload_id", SOME_ID),
            )
            for path, handler in handlers(settings)
            for method in handler.http_methods
        }
    )


async def code_of(ingest: Ingest, method: str, path: str, **options: Any) -> tuple[int, str]:
    async with ingest.client.request(method, ingest.url + path, allow_redirects=False, **options) as answer:
        if answer.content_type == "text/event-stream":
            return answer.status, ""  # it does not end
        text = await answer.text(errors="replace")
    if "json" not in answer.content_type:
        return answer.status, ""
    body = json.loads(text or "{}")
    return answer.status, body.get("error", body).get("code", "") if isinstance(body, dict) else ""


async def test_every_route_refuses_a_host_that_is_not_allowed(settings: IngestSettings) -> None:
    async with serving(settings) as ingest:
        for method, path in requests_of(settings):
            refused = (await code_of(ingest, method, path, headers={"Host": "evil.example"}))[0] == 421
            assert refused != (path.startswith("/health/") and method in SAFE), (method, path)


@pytest.mark.parametrize("page", PAGES, ids=range(len(PAGES)))
async def test_every_route_that_changes_state_refuses_other_pages(
    settings: IngestSettings, page: dict[str, str]
) -> None:
    async with serving(settings) as ingest:
        for method, path in requests_of(settings):
            status, code = await code_of(ingest, method, path, headers=page)
            assert (code == "origin_not_allowed") == (method not in SAFE), (method, path, status)
        status, code = await code_of(ingest, "GET", "/v1/uploads", headers={**page, "X-HTTP-Method-Override": "POST"})
        assert (status, code) == (403, "origin_not_allowed")
        assert await ingest.sql("SELECT 1 FROM uploads") == []
        assert await ingest.sql("SELECT 1 FROM api_keys") == []


async def test_a_foreign_form_submits_nothing(ingest: Ingest) -> None:
    form = {"Content-Type": "audio/wav", "Origin": "https://evil.example"}
    assert (await ingest.post(wav(), headers=form))[0] == 403
    assert (await ingest.post(wav(), headers={"Content-Type": "audio/wav", "Host": "evil.example:8000"}))[0] == 421
    await ingest.assert_nothing_is_left()
    assert (await ingest.post(wav(), headers={"Content-Type": "audio/wav", "Origin": ingest.url}))[0] == 202


FOREIGN_TYPES = (
    "",
    "text/plain",
    "text/json",
    "text/plain; charset=application/json",
    "application/x-www-form-urlencoded",
    "application/octet-stream",
    "application/jsonp",
    "application/json, text/plain",
    "multipart/form-data; boundary=x",
)


@pytest.mark.parametrize("auth", ["none", "required"])
@pytest.mark.parametrize("content_type", FOREIGN_TYPES)
async def test_json_is_accepted_as_json_only(settings: IngestSettings, auth: str, content_type: str) -> None:
    key = (await new_key(settings, "acme")).key
    async with serving(settings, auth=auth) as ingest:
        with_body = [
            (path, next(iter(handler.http_methods)))
            for path, handler in handlers(settings)
            if "data" in handler.parsed_fn_signature.parameters
        ]
        assert len(with_body) >= 2
        for path, method in [*with_body, ("/v1/jobs", "POST")]:
            body = json.dumps({"scopes": ["admin"], "audio_url": "http://example.com/a.wav"}).encode()
            headers = {"Content-Type": content_type, **bearer(key)}
            status, code = await code_of(ingest, str(method), path, data=body, headers=headers)
            assert code in {"unsupported_content_type", "unsupported_media", "invalid_form"}, (path, status, code)
        assert len(await ingest.sql("SELECT 1 FROM api_keys")) == 1
        assert await ingest.job_count() == 0


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=utf-8", "application/x+json"])
async def test_json_types_are_accepted(ingest: Ingest, content_type: str) -> None:
    status, _ = await ingest.post(b'{"scopes": ["read"]}', "/v1/keys", headers={"Content-Type": content_type})
    assert status == 201


SECRET_FIELD = {"key", "secret", "token", "password"}


def shows_secret(handler: HTTPRouteHandler) -> bool:
    returned = handler.parsed_fn_signature.return_type.annotation
    return (
        isinstance(returned, type)
        and issubclass(returned, msgspec.Struct)
        and bool(SECRET_FIELD & set(returned.__struct_fields__))
    )


async def test_every_route_that_answers_with_a_secret_is_closed_to_pages(settings: IngestSettings) -> None:
    closed = [(path, handler) for path, handler in handlers(settings) if shows_secret(handler)]
    assert {path for path, _ in closed} == {
        "/v1/keys",
        "/v1/webhooks/secret/rotate",
        "/v1/webhooks/endpoints",
        "/v1/webhooks/endpoints/{endpoint_id}/secret/rotate",
    }
    assert all(handler.opt[SHOWS] and handler.opt[NEEDS] == "admin" for _, handler in closed)
    app = "https://app.example"
    async with serving(settings, cors_origins=(app,)) as ingest:
        for path, _ in closed:
            for spelling in (path, path + "/", path.replace("/v1", "//v1"), path.replace("e", "%65")):
                for page in ({"Origin": app}, {"Origin": ingest.url}, {"Sec-Fetch-Site": "same-origin"}):
                    json_body = {"Content-Type": "application/json", **page}
                    status, code = await code_of(
                        ingest, "POST", spelling, data=b'{"scopes":["read"]}', headers=json_body
                    )
                    assert code in {"page_not_allowed", "not_found"}, (spelling, page, status)
        assert await ingest.sql("SELECT 1 FROM api_keys") == []
        assert await ingest.sql("SELECT 1 FROM webhook_secrets") == []


async def test_with_keys_hosts_and_origins_do_not_matter(settings: IngestSettings) -> None:
    key = (await new_key(settings, "acme")).key
    async with guarded(settings) as ingest:
        headers = {"Host": "asr.example", **PAGES[0], **bearer(key)}
        assert (await ingest.post(wav(), headers={"Content-Type": "audio/wav", **headers}))[0] == 202
        assert (await ingest.get("/v1/jobs", headers={"Host": "asr.example", "Cookie": f"key={key}"}))[0] == 401


def allowed_hosts(text: str) -> tuple[str, ...]:
    environ = {"HEADRACE_DATABASE_URL": "postgresql://db/x", "HEADRACE_REDIS_URL": "redis://redis"}
    settings = load_settings(
        IngestSettings, environ | {"HEADRACE_STORAGE_URL": "file:///x", "HEADRACE_ALLOWED_HOSTS": text}
    )
    return settings.allowed_hosts


def test_allowed_hosts_are_names_and_addresses_without_a_port() -> None:
    assert allowed_hosts("asr.example, 10.0.0.7,fd00::7") == ("asr.example", "10.0.0.7", "fd00::7")
    for invalid in ("*", "*.example", "asr.example:8000", "https://asr.example", "[::1]", "Asr.example", "a b"):
        with pytest.raises(SettingsError, match="HEADRACE_ALLOWED_HOSTS"):
            allowed_hosts(invalid)
