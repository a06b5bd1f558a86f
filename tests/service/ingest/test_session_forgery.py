"""A page of another origin can change nothing with the cookie that a browser adds to its requests (CSRF).

The routes come from the application, so a new route is tested, too.
"""

import json

import pytest

from ingest_service.middleware.page_origin import SAFE_METHODS
from ingest_service.settings import IngestSettings
from tests.service.ingest.test_keyless_browsers import PAGES, requests_of
from tests.support.ingest.api_keys import WAV_TYPE, bearer, guarded, new_key
from tests.support.ingest.browser import PAGE, asked, sign_in
from tests.support.ingest.raw_http import connected, head, until_closed
from tests.support.ingest.serving import Ingest
from tests.support.ingest.sounds import wav

FORM = {"Content-Type": "multipart/form-data; boundary=b"}
FORM_BODY = (
    b'--b\r\nContent-Disposition: form-data; name="audio_file"; filename="a.wav"\r\n\r\n' + wav() + b"\r\n--b--\r\n"
)
TUS = {"Tus-Resumable": "1.0.0", "Upload-Length": str(len(wav())), "Content-Type": "application/offset+octet-stream"}
OVERRIDDEN = {**TUS, "X-HTTP-Method-Override": "POST"}
JSON = {"Content-Type": "application/json"}
BODIES = {
    "form": ("POST", "/v1/jobs", FORM, FORM_BODY),
    "form at the old path": ("POST", "/api/upload-audio", FORM, FORM_BODY),
    "raw": ("POST", "/v1/jobs", WAV_TYPE, wav()),
    "raw, repeated": ("POST", "/v1/jobs", WAV_TYPE | {"Idempotency-Key": "k"}, wav()),
    "json": ("POST", "/v1/jobs/remote", JSON, json.dumps({"audio_url": "https://example.com/a.wav"}).encode()),
    "key": ("POST", "/v1/keys", JSON, b'{"scopes": ["admin"], "purpose": "stolen"}'),
    "tus": ("POST", "/v1/uploads", TUS, wav()),
    "tus by PATCH": ("PATCH", "/v1/uploads", OVERRIDDEN, wav()),
    "tus by GET": ("GET", "/v1/uploads", OVERRIDDEN, b""),
}


async def rows(ingest: Ingest) -> list[int]:
    tables = ("jobs", "uploads", "api_keys", "sessions", "webhook_secrets")
    return [(await ingest.sql(f"SELECT count(*) FROM {table}"))[0][0] for table in tables]  # noqa: S608 - constants


async def test_every_route_that_changes_state_needs_the_csrf_token(settings: IngestSettings) -> None:
    key = (await new_key(settings, "acme")).key
    async with guarded(settings) as ingest:
        session, other = await sign_in(ingest, key), await sign_in(ingest, key)
        before = await rows(ingest)
        wrong = [{}, other.csrf, {"X-CSRF-Token": ""}, {"X-CSRF-Token": session.token}, {"X-CSRF": "1"}]
        for method, path in requests_of(settings):
            for csrf in wrong:
                _, code = await asked(ingest, method, path, {**session.cookie, **PAGE, "Origin": ingest.url, **csrf})
                assert (code == "invalid_csrf_token") == (method not in SAFE_METHODS), (method, path, csrf)
        assert await rows(ingest) == before


@pytest.mark.parametrize("page", PAGES, ids=range(len(PAGES)))
async def test_every_route_that_changes_state_refuses_other_pages(
    settings: IngestSettings, page: dict[str, str]
) -> None:
    """Even one that has the token, and one of the origins that may use the API with a key."""
    key = (await new_key(settings, "acme")).key
    async with guarded(settings, cors_origins=("https://evil.example", "http://127.0.0.1:3000")) as ingest:
        session = await sign_in(ingest, key)
        before = await rows(ingest)
        for method, path in requests_of(settings):
            _, code = await asked(ingest, method, path, {**session.cookie, **session.csrf, **page})
            assert (code == "origin_not_allowed") == (method not in SAFE_METHODS), (method, path)
        assert await rows(ingest) == before


@pytest.mark.parametrize("site", ["none", "same-site", "cross-site", "SAME-SITE", ""])
async def test_only_the_own_origin_counts_as_the_own_site(settings: IngestSettings, site: str) -> None:
    key = (await new_key(settings, "acme")).key
    async with guarded(settings) as ingest:
        session = await sign_in(ingest, key)
        headers = session.page(ingest, **WAV_TYPE) | {"Sec-Fetch-Site": site}
        assert await asked(ingest, "POST", "/v1/jobs", headers, wav()) == (403, "origin_not_allowed")
        assert await ingest.job_count() == 0


@pytest.mark.parametrize("kind", BODIES)
async def test_no_kind_of_body_passes_without_the_token(settings: IngestSettings, kind: str) -> None:
    method, path, headers, body = BODIES[kind]
    key = (await new_key(settings, "acme")).key
    async with guarded(settings) as ingest:
        session = await sign_in(ingest, key)
        before = await rows(ingest)
        for page in ({}, PAGE, {"Content-Type": "text/plain"}):
            sent = {**headers, **session.cookie, **page}
            assert await asked(ingest, method, path, sent, body) == (403, "invalid_csrf_token"), page
        for page in PAGES:
            refused = await asked(ingest, method, path, {**headers, **session.cookie, **session.csrf, **page}, body)
            assert refused == (403, "origin_not_allowed"), page
        assert (await rows(ingest), ingest.stored_files()) == (before, [])
        status, code = await asked(ingest, method, path, session.page(ingest, **headers), body)
        assert status in {201, 202}, code


async def test_the_token_is_of_one_session_and_sent_once(settings: IngestSettings) -> None:
    key = (await new_key(settings, "acme")).key
    async with guarded(settings) as ingest:
        session = await sign_in(ingest, key)
        pairs = [*session.page(ingest, **WAV_TYPE).items(), *session.csrf.items()]
        async with ingest.client.post(ingest.url + "/v1/jobs", data=wav(), headers=pairs) as answer:
            assert answer.status == 403
        without_origin = {**WAV_TYPE, **session.cookie, **session.csrf}  # as a program sends that has the cookie
        assert (await asked(ingest, "POST", "/v1/jobs", without_origin, wav()))[0] == 202
        as_shown = (await ingest.get("/v1/session", headers=session.cookie))[1]["csrf_token"]
        assert {"X-CSRF-Token": as_shown} == session.csrf


@pytest.mark.parametrize("page", PAGES, ids=range(len(PAGES)))
async def test_another_page_signs_nobody_in(settings: IngestSettings, page: dict[str, str]) -> None:
    key = (await new_key(settings, "acme")).key
    async with guarded(settings, cors_origins=("https://evil.example",)) as ingest:
        assert await asked(ingest, "POST", "/v1/session", bearer(key) | page) == (403, "origin_not_allowed")
        assert await ingest.sql("SELECT 1 FROM sessions") == []


async def test_a_refusal_comes_before_the_body(settings: IngestSettings) -> None:
    key = (await new_key(settings, "acme")).key
    async with guarded(settings) as ingest:
        session = await sign_in(ingest, key)
        lines = f"Cookie: {session.cookie['Cookie']}", "Content-Type: audio/wav", "Content-Length: 10000000"
        async with connected(ingest) as (reader, writer):
            writer.write(head(*lines, "Expect: 100-continue"))
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 403 ")  # not `100 Continue`
            writer.write_eof()
            assert b'"invalid_csrf_token"' in await until_closed(reader)
        assert ingest.stored_files() == []
