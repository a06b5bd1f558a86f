"""Caches API keys and sessions in this process, so that a request with a known one needs no query.

They are cached only while the key listener receives changes, and for a few seconds at most. Unknown keys keep at most
one connection busy, however many arrive: one query at a time asks for all that wait.
"""

import asyncio
import contextvars
import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from ingest_service.auth.api_keys import digest_of, id_in, is_key_id
from ingest_service.auth.caller import Caller, Scope
from ingest_service.auth.key_watch import KeyWatch
from ingest_service.auth.sessions import session_id_in
from ingest_service.database import Database
from ingest_service.errors import OutageError, RefusedError
from shared.connections.tenancy import ALL_TENANTS

MAX_AGE_S = 10.0  # bounds the effect of a pooler that loses notifications
CACHED_AT_LEAST = 1000  # before expired entries are removed
SCOPES = frozenset(Scope)
UNKNOWN_KEY = "This API key is unknown, expired or revoked."
NO_SESSION = "The session has ended. Sign in again."


class LiveKey(msgspec.Struct, frozen=True, kw_only=True):
    """A valid key or session in the database."""

    digest: bytes
    caller: Caller
    left_s: float | None  # until it expires; None: never


class _CachedKey(msgspec.Struct, frozen=True):
    digest: bytes
    caller: Caller
    until_s: float  # on the loop's clock


FindKeys = Callable[[Sequence[str]], Awaitable[Mapping[str, LiveKey]]]  # by ids of either; raises OutageError


class KeyCache:
    """The cache of one process."""

    def __init__(self, find: FindKeys) -> None:
        self._find = find
        self._cached: dict[str, _CachedKey] = {}
        self._waiting: dict[str, asyncio.Future[LiveKey | None]] = {}
        self._asking: asyncio.Task[None] | None = None
        self._is_listening = False
        self._changes = 0  # changes received
        self._most_cached = CACHED_AT_LEAST
        self.watch = KeyWatch(find)

    async def caller(self, presented: bytes) -> Caller:
        """Return the caller of a key. RefusedError `unauthorized`; OutageError if the key needs a query."""
        key_id = id_in(presented)
        if key_id is None:
            raise unauthorized("Malformed API key. A key of Headrace begins with `hr_`.")
        return _checked(self._fresh(key_id) or await self._ask(key_id), presented, UNKNOWN_KEY)

    async def caller_of_session(self, token: bytes) -> Caller:
        """Return the caller of a session. RefusedError `unauthorized`; OutageError if it needs a query."""
        session_id = session_id_in(token)
        if session_id is None:
            raise unauthorized(NO_SESSION)
        return _checked(self._fresh(session_id) or await self._ask(session_id), token, NO_SESSION)

    def _fresh(self, key_id: str) -> _CachedKey | None:
        cached = self._cached.get(key_id)
        return cached if cached and cached.until_s > asyncio.get_running_loop().time() else None

    def start_caching(self) -> None:
        """Cache keys: from now on `invalidate` is called for every change."""
        self._is_listening = True

    def stop_caching(self) -> None:
        """Clear the cache: changes may be missed from now on."""
        self._is_listening = False
        self.invalidate("")

    def invalidate(self, key_id: str) -> None:
        """Remove a key that changed, with its sessions, or a session; an empty id means all."""
        self._changes += 1  # the answer of a query under way may be outdated
        self.watch.check()
        if key_id:
            self._keep(lambda known, cached: key_id not in {known, cached.caller.key_id})
        else:
            self._cached.clear()

    def _keep(self, is_kept: Callable[[str, _CachedKey], bool]) -> None:
        self._cached = {key_id: cached for key_id, cached in self._cached.items() if is_kept(key_id, cached)}

    async def _ask(self, key_id: str) -> LiveKey | None:
        if key_id not in self._waiting:
            self._waiting[key_id] = asyncio.get_running_loop().create_future()
        answer = self._waiting[key_id]
        if self._asking is None:  # an empty context: its log lines do not belong to the request that started it
            self._asking = asyncio.create_task(self._ask_for_all(), context=contextvars.Context())
        try:
            return await asyncio.shield(answer)  # other requests may wait for it
        except OutageError as error:  # a new exception for each request: raising an exception changes it
            raise OutageError(error.code, error.detail) from error.__cause__

    async def _ask_for_all(self) -> None:
        try:
            while self._waiting:
                asked, self._waiting = self._waiting, {}  # later requests need a later answer
                await self._answer(asked)
        finally:
            self._asking = None

    async def _answer(self, asked: Mapping[str, asyncio.Future[LiveKey | None]]) -> None:
        changes = self._changes
        try:
            found = await self._find(list(asked))
        except Exception as error:  # noqa: BLE001 - raised again in `_ask`
            for answer in asked.values():
                answer.set_exception(error)
                answer.exception()  # marks it as retrieved: the request may have been cancelled
            return
        if self._is_listening and changes == self._changes:
            self._cache(found)
        for key_id, answer in asked.items():
            answer.set_result(found.get(key_id))

    def _cache(self, found: Mapping[str, LiveKey]) -> None:
        now_s = asyncio.get_running_loop().time()
        for key_id, key in found.items():
            for_s = MAX_AGE_S if key.left_s is None else min(MAX_AGE_S, key.left_s)
            self._cached[key_id] = _CachedKey(key.digest, key.caller, now_s + for_s)
        if len(self._cached) > self._most_cached:  # sessions come and go: without this, ended ones would add up
            self._keep(lambda _, cached: cached.until_s > now_s)
            self._most_cached = max(CACHED_AT_LEAST, 2 * len(self._cached))

    async def close(self) -> None:
        """Cancel the queries under way."""
        await self.watch.close()
        if self._asking:
            self._asking.cancel()
            with suppress(asyncio.CancelledError):
                await self._asking


def unauthorized(detail: str) -> RefusedError:
    """The error for an unknown caller."""
    return RefusedError("unauthorized", detail)


def _checked(key: LiveKey | _CachedKey | None, presented: bytes, refusal: str) -> Caller:
    if key is None or not hmac.compare_digest(key.digest, digest_of(presented)):
        raise unauthorized(refusal)
    return key.caller


# Searches the keys of all tenants: the key determines the tenant.
LIVE_KEYS = """
    SELECT id, tenant, digest, scopes, operates, extract(epoch FROM expires_at - now())::float AS left_s
    FROM api_keys
    WHERE id = ANY($1::text[]) AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
"""

LIVE_SESSIONS = """
    SELECT sessions.id, api_keys.id AS key_id, api_keys.tenant, sessions.digest, scopes, operates, sessions.expires_at,
        extract(epoch FROM least(sessions.expires_at, api_keys.expires_at) - now())::float AS left_s
    FROM sessions JOIN api_keys ON api_keys.id = sessions.key_id
    WHERE sessions.id = ANY($1::text[]) AND sessions.expires_at > now()
        AND revoked_at IS NULL AND (api_keys.expires_at IS NULL OR api_keys.expires_at > now())
"""


async def find_keys(database: Database, ids: Sequence[str]) -> Mapping[str, LiveKey]:
    """Read the valid keys and sessions with these ids. Raises OutageError."""
    key_ids = [each for each in ids if is_key_id(each)]
    session_ids = [each for each in ids if not is_key_id(each)]
    async with database.reading(ALL_TENANTS) as connection:
        keys = await connection.fetch(LIVE_KEYS, key_ids) if key_ids else ()
        sessions = await connection.fetch(LIVE_SESSIONS, session_ids) if session_ids else ()
    found = {row["id"]: _live_key(row, Caller(**_rights(row), key_id=row["id"])) for row in keys}
    return found | {row["id"]: _live_key(row, _of_session(row)) for row in sessions}


def _live_key(row: Any, caller: Caller) -> LiveKey:
    return LiveKey(digest=row["digest"], caller=caller, left_s=row["left_s"])


def _of_session(row: Any) -> Caller:
    return Caller(**_rights(row), key_id=row["key_id"], session_id=row["id"], session_expires_at=row["expires_at"])


def _rights(row: Any) -> dict[str, Any]:
    """Return the tenant and its rights. A scope of a newer version is left out: it must not refuse other keys."""
    scopes = frozenset(Scope(scope) for scope in row["scopes"] if scope in SCOPES)
    return {"tenant": row["tenant"], "scopes": scopes, "operates": row["operates"]}
