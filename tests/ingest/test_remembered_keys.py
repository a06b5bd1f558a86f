"""A key that was seen costs no query, and is forgotten by every process the moment it changes."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress

import asyncpg
import pytest

from ingest_service.auth import key_cache as key_ring
from ingest_service.auth import key_listener as hear_changes
from ingest_service.auth.caller import LOCAL
from ingest_service.auth.key_cache import KeyRing, LiveKey
from ingest_service.auth.keys import NewKey, make_key
from ingest_service.errors import OutageError, RefusedError
from ingest_service.settings import IngestSettings
from tests.ingest.keys import bearer, guarded, new_key, status_of
from tests.ingest.proxy import proxied
from tests.ingest.serving import Ingest, until
from tests.servers import as_owner

EAR = "application_name = 'headrace-ingest-keys'"
LONG_S = 3600.0


class Record:
    """Answers as Postgres does, when it is let."""

    def __init__(self) -> None:
        self.keys: dict[str, LiveKey] = {}
        self.asked: list[list[str]] = []
        self.answers = asyncio.Event()
        self.answers.set()
        self.is_away = False

    def add(self) -> NewKey:
        key = make_key()
        self.keys[key.key_id] = LiveKey(digest=key.digest, caller=LOCAL, left_s=None)
        return key

    async def find(self, key_ids: Sequence[str]) -> Mapping[str, LiveKey]:
        self.asked.append(sorted(key_ids))
        found = {key_id: self.keys[key_id] for key_id in key_ids if key_id in self.keys}
        await self.answers.wait()
        if self.is_away:
            raise OutageError("database_unavailable", "Away.")
        return found


def shown(key: NewKey) -> bytes:
    return key.text.encode()


async def test_a_key_is_asked_for_once_while_changes_are_heard() -> None:
    record = Record()
    ring, key = KeyRing(record.find), record.add()
    await ring.caller(shown(key))
    await ring.caller(shown(key))
    assert len(record.asked) == 2  # nobody would tell us that it was revoked
    ring.begin_to_remember()
    for _ in range(3):
        assert await ring.caller(shown(key)) is LOCAL
    assert len(record.asked) == 3
    ring.stop_remembering()
    await ring.caller(shown(key))
    assert len(record.asked) == 4


async def test_a_key_that_changes_while_it_is_asked_for_is_not_remembered() -> None:
    record = Record()
    ring, key = KeyRing(record.find), record.add()
    ring.begin_to_remember()
    record.answers.clear()
    asking = asyncio.create_task(ring.caller(shown(key)))
    await until(lambda: _true(bool(record.asked)))
    del record.keys[key.key_id]
    ring.forget(key.key_id)
    later = asyncio.create_task(ring.caller(shown(key)))  # after the change: must not go by the answer under way
    record.answers.set()
    assert await asking is LOCAL
    with pytest.raises(RefusedError, match="unauthorized"):
        await later


async def test_strangers_in_thousands_cost_a_query_at_a_time() -> None:
    record = Record()
    ring, key = KeyRing(record.find), record.add()
    record.answers.clear()
    strangers = [asyncio.create_task(ring.caller(shown(make_key()))) for _ in range(1000)]
    await until(lambda: _true(bool(record.asked)))
    late = asyncio.create_task(ring.caller(shown(key)))
    strangers += [asyncio.create_task(ring.caller(shown(make_key()))) for _ in range(1000)]
    await asyncio.sleep(0)
    record.answers.set()
    assert await late is LOCAL
    refusals = await asyncio.gather(*strangers, return_exceptions=True)
    assert {type(refusal) for refusal in refusals} == {RefusedError}
    assert len(record.asked) == 2


async def test_an_outage_is_told_to_each_who_asks_and_ends() -> None:
    record = Record()
    ring, key = KeyRing(record.find), record.add()
    record.is_away = True
    outages = await asyncio.gather(*(ring.caller(shown(key)) for _ in range(2)), return_exceptions=True)
    assert [type(outage) for outage in outages] == [OutageError, OutageError]
    assert outages[0] is not outages[1]
    record.is_away = False
    assert await ring.caller(shown(key)) is LOCAL


async def _true(value: bool) -> bool:  # noqa: FBT001 - a condition
    return value


async def remembers(ingest: Ingest, key: str) -> bool:
    """Whether a request by the key is answered while nobody can read the keys."""
    await status_of(ingest, key)
    async with ingest.transaction() as connection:
        await connection.execute("LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE")
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                return await status_of(ingest, key) == 200
    return False


async def test_a_key_that_was_seen_costs_no_query(settings: IngestSettings) -> None:
    key = (await new_key(settings, "acme")).key
    async with guarded(settings) as ingest:
        await until(lambda: remembers(ingest, key))


async def test_every_process_forgets_a_key_that_is_revoked(
    settings: IngestSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_ring, "REMEMBERED_S", LONG_S)  # or time alone would do it
    admin, made = (await new_key(settings, "acme", purpose="admin")).key, await new_key(settings, "acme")
    async with guarded(settings) as one, guarded(settings) as another:
        for ingest in (one, another):
            await until(lambda ingest=ingest: remembers(ingest, made.key))
        async with one.client.delete(f"{one.url}/v1/keys/{made.key_id}", headers=bearer(admin)) as answer:
            assert answer.status == 204
        assert await status_of(one, made.key) == 401  # at once where it was revoked
        await until(lambda: _is_refused(another, made.key))


async def _is_refused(ingest: Ingest, key: str) -> bool:
    return await status_of(ingest, key) == 401


async def test_a_process_that_does_not_hear_remembers_nothing(
    settings: IngestSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_ring, "REMEMBERED_S", LONG_S)
    made = await new_key(settings, "acme")
    async with guarded(settings) as ingest:
        await until(lambda: remembers(ingest, made.key))
        monkeypatch.setattr(hear_changes, "AGAIN_AFTER_S", LONG_S)
        await ingest.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {EAR}")  # noqa: S608 - a constant

        async def is_deaf() -> bool:
            return not await remembers(ingest, made.key)

        await until(is_deaf)
        await ingest.sql("UPDATE api_keys SET revoked_at = now()")
        assert await status_of(ingest, made.key) == 401


async def test_a_process_that_was_cut_off_hears_again(settings: IngestSettings) -> None:
    made = await new_key(settings, "acme")
    async with guarded(settings) as ingest:
        await until(lambda: remembers(ingest, made.key))
        await ingest.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {EAR}")  # noqa: S608 - a constant
        await until(lambda: remembers(ingest, made.key))


async def test_a_database_that_falls_silent_is_one_that_is_away(settings: IngestSettings) -> None:
    made = await new_key(settings, "acme")
    async with proxied(settings.database_url) as postgres, guarded(settings, database_url=postgres.url) as ingest:
        await until(lambda: remembers(ingest, made.key))
        postgres.freeze()

        async def is_away() -> bool:
            return await status_of(ingest, made.key) == 503

        await until(is_away, timeout_s=20)
        postgres.thaw()


async def test_a_connection_that_only_seems_to_be_there_keeps_no_key_alive(
    settings: IngestSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_ring, "REMEMBERED_S", LONG_S)
    made = await new_key(settings, "acme")
    async with proxied(settings.database_url) as postgres, guarded(settings, database_url=postgres.url) as ingest:
        await until(lambda: remembers(ingest, made.key))
        postgres.lose()
        await revoke_directly(settings, made.key_id)
        await until(lambda: _is_refused(ingest, made.key), timeout_s=20)


async def revoke_directly(settings: IngestSettings, key_id: str) -> None:
    connection = await asyncpg.connect(as_owner(settings.database_url))
    try:
        await connection.execute("UPDATE api_keys SET revoked_at = now() WHERE id = $1", key_id)
    finally:
        await connection.close()
