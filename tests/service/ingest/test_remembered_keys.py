"""A cached key costs no query, and every process drops it as soon as it changes."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress

import asyncpg
import pytest

from ingest_service.auth import key_cache, key_listener
from ingest_service.auth.api_keys import NewKey, make_key
from ingest_service.auth.caller import LOCAL
from ingest_service.auth.key_cache import KeyCache, LiveKey
from ingest_service.errors import OutageError, RefusedError
from ingest_service.settings import IngestSettings
from shared.secret import Secret
from tests.support.ingest import records
from tests.support.ingest.api_keys import WAV_TYPE, bearer, guarded, new_key, status_of
from tests.support.ingest.following import following
from tests.support.ingest.proxy import proxied
from tests.support.ingest.serving import Ingest, until
from tests.support.ingest.sounds import wav
from tests.support.servers import as_owner

LISTENER = "application_name = 'headrace-ingest-keys'"
LONG_S = 3600.0


class Record:
    """Answers like Postgres, when the test allows it."""

    def __init__(self) -> None:
        self.keys: dict[str, LiveKey] = {}
        self.asked: list[list[str]] = []
        self.answers = asyncio.Event()
        self.answers.set()
        self.is_unavailable = False

    def add(self) -> NewKey:
        key = make_key()
        self.keys[key.key_id] = LiveKey(digest=key.digest, caller=LOCAL, left_s=None)
        return key

    async def find(self, key_ids: Sequence[str]) -> Mapping[str, LiveKey]:
        self.asked.append(sorted(key_ids))
        found = {key_id: self.keys[key_id] for key_id in key_ids if key_id in self.keys}
        await self.answers.wait()
        if self.is_unavailable:
            raise OutageError("database_unavailable", "Unavailable.")
        return found


def shown(key: NewKey) -> bytes:
    return key.text.encode()


async def test_a_key_is_read_once_while_the_listener_is_connected() -> None:
    record = Record()
    cache, key = KeyCache(record.find), record.add()
    await cache.caller(shown(key))
    await cache.caller(shown(key))
    assert len(record.asked) == 2  # without a listener, a revocation would be missed
    cache.start_caching()
    for _ in range(3):
        assert await cache.caller(shown(key)) is LOCAL
    assert len(record.asked) == 3
    cache.stop_caching()
    await cache.caller(shown(key))
    assert len(record.asked) == 4


async def test_a_key_that_changes_during_its_query_is_not_cached() -> None:
    record = Record()
    cache, key = KeyCache(record.find), record.add()
    cache.start_caching()
    record.answers.clear()
    asking = asyncio.create_task(cache.caller(shown(key)))
    await until(lambda: _true(bool(record.asked)))
    del record.keys[key.key_id]
    cache.invalidate(key.key_id)
    later = asyncio.create_task(
        cache.caller(shown(key))
    )  # after the change: must not use the answer of the earlier query
    record.answers.set()
    assert await asking is LOCAL
    with pytest.raises(RefusedError, match="unauthorized"):
        await later


async def test_thousands_of_unknown_keys_cost_one_query_at_a_time() -> None:
    record = Record()
    cache, key = KeyCache(record.find), record.add()
    record.answers.clear()
    strangers = [asyncio.create_task(cache.caller(shown(make_key()))) for _ in range(1000)]
    await until(lambda: _true(bool(record.asked)))
    late = asyncio.create_task(cache.caller(shown(key)))
    strangers += [asyncio.create_task(cache.caller(shown(make_key()))) for _ in range(1000)]
    await asyncio.sleep(0)
    record.answers.set()
    assert await late is LOCAL
    refusals = await asyncio.gather(*strangers, return_exceptions=True)
    assert {type(refusal) for refusal in refusals} == {RefusedError}
    assert len(record.asked) == 2


async def test_every_waiting_request_gets_the_outage_error() -> None:
    record = Record()
    cache, key = KeyCache(record.find), record.add()
    record.is_unavailable = True
    outages = await asyncio.gather(*(cache.caller(shown(key)) for _ in range(2)), return_exceptions=True)
    assert [type(outage) for outage in outages] == [OutageError, OutageError]
    assert outages[0] is not outages[1]
    record.is_unavailable = False
    assert await cache.caller(shown(key)) is LOCAL


async def _true(value: bool) -> bool:  # noqa: FBT001 - a condition
    return value


async def remembers(ingest: Ingest, key: str) -> bool:
    """Whether a request with the key succeeds while the keys cannot be read."""
    await status_of(ingest, key)
    async with ingest.transaction() as connection:
        await connection.execute("LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE")
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                return await status_of(ingest, key) == 200
    return False


async def test_a_cached_key_costs_no_query(settings: IngestSettings) -> None:
    key = (await new_key(settings, "acme")).key
    async with guarded(settings) as ingest:
        await until(lambda: remembers(ingest, key))


async def test_every_process_drops_a_revoked_key(settings: IngestSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_cache, "MAX_AGE_S", LONG_S)  # else the key would expire by itself
    admin, made = (await new_key(settings, "acme", purpose="admin")).key, await new_key(settings, "acme")
    async with guarded(settings) as one, guarded(settings) as another:
        for ingest in (one, another):
            await until(lambda ingest=ingest: remembers(ingest, made.key))
        async with one.client.delete(f"{one.url}/v1/keys/{made.key_id}", headers=bearer(admin)) as answer:
            assert answer.status == 204
        assert await status_of(one, made.key) == 401  # immediately in the process that revoked it
        await until(lambda: _is_refused(another, made.key))


async def _is_refused(ingest: Ingest, key: str) -> bool:
    return await status_of(ingest, key) == 401


async def test_a_process_without_a_listener_caches_nothing(
    settings: IngestSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_cache, "MAX_AGE_S", LONG_S)
    made = await new_key(settings, "acme")
    async with guarded(settings) as ingest:
        await until(lambda: remembers(ingest, made.key))
        monkeypatch.setattr(key_listener, "RECONNECT_AFTER_S", LONG_S)
        await ingest.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {LISTENER}")  # noqa: S608 - a constant

        async def is_disconnected() -> bool:
            return not await remembers(ingest, made.key)

        await until(is_disconnected)
        await ingest.sql("UPDATE api_keys SET revoked_at = now()")
        assert await status_of(ingest, made.key) == 401


async def test_a_disconnected_listener_reconnects(settings: IngestSettings) -> None:
    made = await new_key(settings, "acme")
    async with guarded(settings) as ingest:
        await until(lambda: remembers(ingest, made.key))
        await ingest.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {LISTENER}")  # noqa: S608 - a constant
        await until(lambda: remembers(ingest, made.key))


async def test_a_frozen_database_is_detected_as_unavailable(settings: IngestSettings) -> None:
    made = await new_key(settings, "acme")
    async with (
        proxied(settings.database_url.reveal()) as postgres,
        guarded(settings, database_url=Secret(postgres.url)) as ingest,
    ):
        await until(lambda: remembers(ingest, made.key))
        postgres.freeze()

        async def is_unavailable() -> bool:
            return await status_of(ingest, made.key) == 503

        await until(is_unavailable, timeout_s=20)
        postgres.thaw()


async def test_a_dead_connection_keeps_no_key_cached(settings: IngestSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_cache, "MAX_AGE_S", LONG_S)
    made = await new_key(settings, "acme")
    async with (
        proxied(settings.database_url.reveal()) as postgres,
        guarded(settings, database_url=Secret(postgres.url)) as ingest,
    ):
        await until(lambda: remembers(ingest, made.key))
        postgres.lose()
        await revoke_directly(settings, made.key_id)
        await until(lambda: _is_refused(ingest, made.key), timeout_s=20)


async def revoke_directly(settings: IngestSettings, key_id: str) -> None:
    connection = await asyncpg.connect(as_owner(settings.database_url.reveal()))
    try:
        await connection.execute("UPDATE api_keys SET revoked_at = now() WHERE id = $1", key_id)
    finally:
        await connection.close()


@pytest.mark.parametrize("column", ["revoked_at", "expires_at"])
async def test_an_event_stream_ends_with_its_key(settings: IngestSettings, column: str) -> None:
    """In every process, and only the streams of that key."""
    made, other = await new_key(settings, "acme", purpose="a"), await new_key(settings, "acme", purpose="b")
    async with guarded(settings) as one, guarded(settings) as two:
        async with one.client.post(
            f"{one.url}/v1/jobs", data=wav(), headers={**bearer(made.key), **WAV_TYPE}
        ) as answer:
            job_id = (await answer.json())["job_id"]
        async with (
            following(one, job_id, key=made.key) as first,
            following(two, job_id, key=made.key) as second,
            following(two, job_id, key=other.key) as kept,
        ):
            for stream in (first, second, kept):
                assert await stream.next()
                await stream.other()
            await one.sql(f"UPDATE api_keys SET {column} = now() WHERE id = $1", made.key_id)  # noqa: S608 - constants
            await first.ends()
            await second.ends()
            await records.start(one, job_id)
            assert (await kept.next()).data["status"] == "PROCESSING"
