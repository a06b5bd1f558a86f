"""When a session ends: with its key, by the user, by time, or by a newer one; in all processes, with open streams."""

import asyncio

import pytest

from ingest_service.auth import key_cache, key_watch, sessions
from ingest_service.settings import IngestSettings
from tests.support.ingest import records
from tests.support.ingest.api_keys import WAV_TYPE, bearer, guarded, new_key, status_of
from tests.support.ingest.browser import SignedIn, asked, sign_in, sign_out, status_with
from tests.support.ingest.following import following
from tests.support.ingest.serving import Ingest, until
from tests.support.ingest.sounds import wav

SESSION = "/v1/session"
LONG_S = 3600.0


async def remembers(ingest: Ingest, cookie: dict[str, str]) -> bool:
    """Whether a request with the session succeeds while neither keys nor sessions can be read."""
    await status_with(ingest, cookie)
    async with ingest.transaction() as connection:
        await connection.execute("LOCK TABLE api_keys, sessions IN ACCESS EXCLUSIVE MODE")
        try:
            async with asyncio.timeout(0.5):
                return await status_with(ingest, cookie, SESSION) == 200
        except TimeoutError:
            return False


async def test_a_known_session_costs_no_query(settings: IngestSettings) -> None:
    key = (await new_key(settings, "acme")).key
    async with guarded(settings) as ingest:
        session = await sign_in(ingest, key)
        await until(lambda: remembers(ingest, session.cookie))


async def test_a_session_ends_with_its_key_in_every_process(
    settings: IngestSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_cache, "MAX_AGE_S", LONG_S)  # else the session would expire from the cache
    made, other = await new_key(settings, "acme", purpose="a"), await new_key(settings, "acme", purpose="b")
    async with guarded(settings) as one, guarded(settings) as two:
        session, kept = await sign_in(one, made.key), await sign_in(two, other.key)
        for ingest in (one, two):
            await until(lambda ingest=ingest: remembers(ingest, session.cookie))
        path = f"/v1/keys/{made.key_id}"
        assert await asked(one, "DELETE", path, kept.page(one)) == (204, "")
        assert await status_with(one, session.cookie) == 401  # at once in the process that revoked it
        await until(lambda: _is_refused(two, session.cookie))
        assert await status_with(one, kept.cookie) == await status_with(two, kept.cookie) == 200
        async with one.client.post(one.url + SESSION, headers=bearer(made.key)) as answer:
            assert answer.status == 401


async def _is_refused(ingest: Ingest, cookie: dict[str, str]) -> bool:
    return await status_with(ingest, cookie) == 401


async def test_signing_out_ends_the_session_in_every_process(
    settings: IngestSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_cache, "MAX_AGE_S", LONG_S)
    key = (await new_key(settings, "acme")).key
    async with guarded(settings) as one, guarded(settings) as two:
        session, kept = await sign_in(one, key), await sign_in(one, key)
        for ingest in (one, two):
            await until(lambda ingest=ingest: remembers(ingest, session.cookie))
        assert (await sign_out(one, session.page(one))).endswith("Max-Age=0")
        assert await status_with(one, session.cookie) == 401
        await until(lambda: _is_refused(two, session.cookie))
        assert await status_with(two, kept.cookie) == await status_of(two, key) == 200
        assert len(await one.sql("SELECT 1 FROM sessions")) == 1
        assert (await asked(one, "DELETE", SESSION, session.page(one)))[0] == 401  # it has ended
        assert await asked(one, "DELETE", SESSION, bearer(key)) == (404, "not_found")


@pytest.mark.parametrize("end", ["revoke", "expire", "sign out", "expire the session"])
async def test_event_streams_end_with_the_session(
    settings: IngestSettings, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """In every process, and only those of that session."""
    monkeypatch.setattr(key_watch, "CHECK_S", 0.2)
    made, other = await new_key(settings, "acme", purpose="a"), await new_key(settings, "acme", purpose="b")
    async with guarded(settings) as one, guarded(settings) as two:
        _, job = await one.post(wav(), headers=WAV_TYPE | bearer(made.key))
        session, kept = await sign_in(one, made.key), await sign_in(one, other.key)
        async with (
            following(one, job["job_id"], headers=session.cookie) as first,
            following(two, job["job_id"], headers=session.cookie) as second,
            following(two, job["job_id"], headers=kept.cookie) as last,
        ):
            for stream in (first, second, last):
                assert await stream.next()
                await stream.other()
            await _end(one, made.key_id, session, end)
            await first.ends()
            await second.ends()
            await records.start(one, job["job_id"])
            assert (await last.next()).data["status"] == "PROCESSING"


async def _end(ingest: Ingest, key_id: str, session: SignedIn, how: str) -> None:
    match how:
        case "revoke":
            await ingest.sql("UPDATE api_keys SET revoked_at = now() WHERE id = $1", key_id)
        case "expire":
            await ingest.sql("UPDATE api_keys SET expires_at = now() WHERE id = $1", key_id)
        case "sign out":
            assert await asked(ingest, "DELETE", SESSION, session.page(ingest)) == (204, "")
        case _:
            await ingest.sql("UPDATE sessions SET expires_at = now() WHERE id = $1", session.session_id)


async def test_a_session_expires(settings: IngestSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "VALID_S", 1.5)
    key = (await new_key(settings, "acme")).key
    async with guarded(settings) as ingest:
        session = await sign_in(ingest, key)
        assert await status_with(ingest, session.cookie) == 200
        await until(lambda: _is_refused(ingest, session.cookie))
        assert await status_of(ingest, key) == 200


async def test_a_session_does_not_outlive_its_key(settings: IngestSettings) -> None:
    made = await new_key(settings, "acme", expires_days=1)
    async with guarded(settings) as ingest:
        await ingest.sql("UPDATE api_keys SET expires_at = now() + interval '1 minute' WHERE id = $1", made.key_id)
        session = await sign_in(ingest, made.key)
        (row,) = await ingest.sql("SELECT s.expires_at = k.expires_at AS same FROM sessions s, api_keys k")
        assert row["same"]
        assert int(session.set_cookie.partition("Max-Age=")[2].partition(";")[0]) <= 60


async def test_a_new_session_above_the_bound_ends_the_oldest(
    settings: IngestSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MAX_SESSIONS_PER_KEY", 3)
    key, other = (await new_key(settings, "acme", purpose="a")).key, (await new_key(settings, "acme", purpose="b")).key
    async with guarded(settings) as ingest:
        untouched = await sign_in(ingest, other)
        started = [await sign_in(ingest, key) for _ in range(4)]
        await until(lambda: _is_refused(ingest, started[0].cookie))
        assert [await status_with(ingest, one.cookie) for one in [*started[1:], untouched]] == [200] * 4
        await asyncio.gather(*(sign_in(ingest, key) for _ in range(8)))
        assert len(await ingest.sql("SELECT 1 FROM sessions")) == 3 + 1
