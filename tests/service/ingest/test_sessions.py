"""Sessions: a cookie authenticates every route like its key, and cannot be forged."""

import asyncio
import datetime as dt
import hashlib
from typing import Any

import pytest

from ingest_service.auth.api_keys import make_key
from ingest_service.auth.caller import Scope
from ingest_service.auth.key_cache import KeyCache
from ingest_service.errors import RefusedError
from ingest_service.settings import IngestSettings
from tests.support.ingest.api_keys import WAV_TYPE, bearer, guarded, new_key, status_of
from tests.support.ingest.browser import SignedIn, asked, sign_in, sign_out, status_with
from tests.support.ingest.serving import Ingest
from tests.support.ingest.sounds import wav

SESSION = "/v1/session"


async def test_a_key_is_exchanged_for_a_cookie(settings: IngestSettings) -> None:
    key = await new_key(settings, "acme", Scope.READ, Scope.SUBMIT)
    async with guarded(settings) as ingest:
        session = await sign_in(ingest, key.key)
        name, *attributes = session.set_cookie.split("; ")
        assert name.startswith("headrace_session=hr_s")
        assert set(attributes) == {"HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=28800"}
        view = session.view
        assert (view["tenant"], view["scopes"], view["operates"]) == ("acme", ["read", "submit"], False)
        assert view["limits"] == {"max_upload_bytes": settings.max_upload_bytes, "tus_chunk_bytes": 64 << 20}
        left = dt.datetime.fromisoformat(view["expires_at"]) - dt.datetime.now(dt.UTC)
        assert dt.timedelta(hours=7) < left <= dt.timedelta(hours=8)
        assert await ingest.get(SESSION, headers=session.cookie) == (200, view)
        assert (await ingest.get(SESSION, headers=bearer(key.key)))[1] == {
            **view,
            "auth": "key",
            "csrf_token": None,
            "expires_at": None,
        }
        assert (await ingest.get(SESSION))[0] == 401
        async with ingest.client.get(ingest.url + SESSION, headers=session.cookie) as answer:
            assert answer.headers["Cache-Control"] == "no-store"
            assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("scopes", [(Scope.READ,), (Scope.SUBMIT,), (Scope.READ, Scope.ADMIN)], ids=str)
async def test_a_session_has_the_scopes_of_its_key(settings: IngestSettings, scopes: tuple[Scope, ...]) -> None:
    key = (await new_key(settings, "acme", *scopes)).key
    async with guarded(settings) as ingest:
        session = await sign_in(ingest, key)
        for path in ("/v1/jobs", "/v1/keys", "/v1/usage", "/metrics", "/v1/dead-letters"):
            assert await status_with(ingest, session.cookie, path) == await status_of(ingest, key, path), path
        submitted = await asked(ingest, "POST", "/v1/jobs", session.page(ingest, **WAV_TYPE), wav())
        assert submitted[0] == (202 if Scope.SUBMIT in scopes else 403)


async def test_behind_tls_the_cookie_is_secure(settings: IngestSettings) -> None:
    key = (await new_key(settings, "acme")).key
    page = {"Host": "headrace.example", "Origin": "https://headrace.example", "Sec-Fetch-Site": "same-origin"}
    async with guarded(settings) as ingest:
        session = await sign_in(ingest, key, **page)
        name, *attributes = session.set_cookie.split("; ")
        assert name.startswith("__Host-headrace_session=")
        assert set(attributes) == {"HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=28800", "Secure"}
        assert await status_with(ingest, session.cookie) == 200
        ended = await sign_out(ingest, {**page, **session.cookie, **session.csrf})
        assert ended == "__Host-headrace_session=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0; Secure"
        forwarded = await sign_in(ingest, key, **{"X-Forwarded-Proto": "https", "Forwarded": "proto=https"})
        assert "Secure" not in forwarded.set_cookie  # such headers are not trusted


async def test_the_database_cannot_make_a_session(settings: IngestSettings) -> None:
    """It has the digest of a token only: neither the token nor its CSRF token follows from a row."""
    key = (await new_key(settings, "acme")).key
    async with guarded(settings) as ingest:
        session = await sign_in(ingest, key)
        (row,) = await ingest.sql("SELECT sessions::text AS everything, id, digest FROM sessions")
        secret = session.token.split("_", 2)[2]
        assert row["digest"] == hashlib.sha256(session.token.encode()).digest()
        assert secret not in row["everything"]
        assert session.view["csrf_token"] not in row["everything"]
        for guess in (row["digest"].hex(), f"hr_{row['id']}_{row['digest'].hex()[:43]}", row["id"]):
            assert await status_with(ingest, {"Cookie": f"headrace_session={guess}"}) == 401


def forged(session: SignedIn, other: SignedIn, key: str) -> dict[str, str]:
    secret = other.token.split("_", 2)[2]
    return {
        "empty": "headrace_session=",
        "no token": "headrace_session=nonsense",
        "the secret of another": f"headrace_session=hr_{session.session_id}_{secret}",
        "unknown": f"headrace_session=hr_s0123456789abcdef_{secret}",
        "a key": f"headrace_session={key}",
        "the id of a key": f"headrace_session=hr_{key.split('_')[1]}_{secret}",
        "quoted": f'headrace_session="{session.token}"',
        "another name": f"Xheadrace_session={session.token}",
        "upper case": f"HEADRACE_SESSION={session.token}",
        "within a value": f"a=headrace_session={session.token}",
        "two": f"headrace_session={session.token}; headrace_session={other.token}",
        "not ASCII": f"headrace_session={session.token[:-1]}ä",
        "the secure one is invalid": f"headrace_session={session.token}; __Host-headrace_session=nonsense",
    }


async def test_a_forged_cookie_is_refused(settings: IngestSettings) -> None:
    key = (await new_key(settings, "acme")).key
    async with guarded(settings) as ingest:
        session, other = await sign_in(ingest, key), await sign_in(ingest, key)
        for _ in range(2):  # also while both are cached
            assert await status_with(ingest, session.cookie) == await status_with(ingest, other.cookie) == 200
            for name, cookie in forged(session, other, key).items():
                assert await status_with(ingest, {"Cookie": cookie}) == 401, name
        usual = {"Cookie": f"theme=dark; headrace_session={session.token};x=1"}
        assert await status_with(ingest, usual) == 200
        for headers in (bearer(session.token), {"X-API-Key": session.token}):  # would need no CSRF token
            assert (await asked(ingest, "GET", "/v1/jobs", headers))[0] == 401
        assert (await ingest.get(f"/v1/jobs?headrace_session={session.token}"))[0] == 401


async def test_forged_cookies_and_keys_cost_one_query_at_a_time() -> None:
    """The bound on guessing: 256 random bits, and one statement for all that wait."""
    asked_for: list[int] = []
    answers = asyncio.Event()

    async def find(ids: Any) -> dict[str, Any]:
        asked_for.append(len(ids))
        await answers.wait()
        return {}

    cache, secret = KeyCache(find), make_key().text.split("_", 2)[2]
    tokens = (f"hr_s{number:016x}_{secret}".encode() for number in range(500))
    guesses = [asyncio.create_task(cache.caller_of_session(token)) for token in tokens]
    guesses += [asyncio.create_task(cache.caller(make_key().text.encode())) for _ in range(500)]
    await asyncio.sleep(0)
    answers.set()
    refusals = await asyncio.gather(*guesses, return_exceptions=True)
    assert {type(refusal) for refusal in refusals} == {RefusedError}
    assert len(asked_for) <= 2


async def test_a_key_in_a_header_wins_over_the_cookie(settings: IngestSettings) -> None:
    key, other = (await new_key(settings, "acme")).key, (await new_key(settings, "globex")).key
    async with guarded(settings) as ingest:
        session = await sign_in(ingest, key)
        for header in (bearer(other), {"X-API-Key": other}, {"api-key": other}):
            _, view = await ingest.get(SESSION, headers={**session.cookie, **header})
            assert (view["tenant"], view["auth"]) == ("globex", "key")
            headers = {**WAV_TYPE, **session.cookie, **header}  # no CSRF token: the cookie does not count
            assert (await asked(ingest, "POST", "/v1/jobs", headers, wav()))[0] == 202
        assert {row["tenant"] for row in await ingest.sql("SELECT tenant FROM jobs")} == {"globex"}
        unknown = bearer(make_key().text)
        assert await asked(ingest, "GET", "/v1/jobs", {**session.cookie, **unknown}) == (401, "unauthorized")
        basic = {"Authorization": "Basic aHI6aHI="}  # of a proxy
        assert (await ingest.get(SESSION, headers={**session.cookie, **basic}))[1]["tenant"] == "acme"


async def test_a_session_starts_no_other(settings: IngestSettings) -> None:
    key = (await new_key(settings, "acme")).key
    async with guarded(settings) as ingest:
        session = await sign_in(ingest, key)
        assert await asked(ingest, "POST", SESSION, session.page(ingest)) == (401, "unauthorized")
        assert await asked(ingest, "POST", SESSION, {}) == (401, "unauthorized")
        assert len(await ingest.sql("SELECT 1 FROM sessions")) == 1


async def test_without_keys_no_session_is_needed(ingest: Ingest) -> None:
    _, view = await ingest.get(SESSION)
    assert (view["tenant"], view["auth"], view["csrf_token"], view["expires_at"]) == ("default", "none", None, None)
    assert (view["scopes"], view["operates"]) == (sorted(Scope), True)
    async with ingest.client.post(ingest.url + SESSION, headers={"Origin": ingest.url}) as answer:
        assert (answer.status, await answer.json()) == (201, view)
        assert "Set-Cookie" not in answer.headers
    page = {"Origin": ingest.url, "Sec-Fetch-Site": "same-origin", "Cookie": "headrace_session=nonsense"}
    assert (await asked(ingest, "POST", "/v1/jobs", WAV_TYPE | page, wav()))[0] == 202
    assert await asked(ingest, "DELETE", SESSION, page) == (404, "not_found")
    assert await ingest.sql("SELECT 1 FROM sessions") == []


async def test_media_need_the_cookie_only(settings: IngestSettings) -> None:
    """As `<audio>` asks: HEAD and ranges, without any header of a script."""
    key, other = (await new_key(settings, "acme")).key, (await new_key(settings, "globex")).key
    media = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "audio"}
    async with guarded(settings) as ingest:
        _, job = await ingest.post(wav(), headers=WAV_TYPE | bearer(key))
        session, stranger = await sign_in(ingest, key), await sign_in(ingest, other)
        url = f"{ingest.url}/v1/jobs/{job['job_id']}/audio"
        async with ingest.client.head(url, headers=session.cookie | media) as answer:
            assert (answer.status, answer.content_length) == (200, len(wav()))
        async with ingest.client.get(url, headers=session.cookie | media | {"Range": "bytes=4-11"}) as answer:
            assert (answer.status, await answer.read()) == (206, wav()[4:12])
        async with ingest.client.get(url, headers=stranger.cookie | media) as answer:
            assert answer.status == 404
        async with ingest.client.get(url, headers=media) as answer:
            assert answer.status == 401


async def test_a_session_takes_from_the_rate_of_its_key(settings: IngestSettings) -> None:
    key = (await new_key(settings, "acme")).key
    async with guarded(settings, rate_limit=0.001, rate_burst=4) as ingest:
        session = await sign_in(ingest, key)
        statuses = [await status_with(ingest, session.cookie), await status_of(ingest, key)]
        statuses += [await status_with(ingest, session.cookie) for _ in range(2)]
        assert statuses == [200, 200, 200, 429]


async def test_pages_of_other_origins_get_no_credentials(settings: IngestSettings) -> None:
    app = "https://app.example"
    async with guarded(settings, cors_origins=(app,)) as ingest:
        asking = {"Origin": app, "Access-Control-Request-Method": "POST"}
        async with ingest.client.options(ingest.url + "/v1/jobs", headers=asking) as answer:
            assert answer.status == 204
            assert "Access-Control-Allow-Credentials" not in answer.headers
            assert "csrf" not in answer.headers["Access-Control-Allow-Headers"].lower()
