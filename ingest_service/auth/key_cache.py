"""The keys that this process has seen, so that a request costs no query; asks Postgres for those that it has not.

Keys are remembered only while somebody hears of every change, and for a few seconds at most. Whoever shows unknown
keys in thousands keeps one connection busy: one query at a time asks for all that came meanwhile.
"""

import asyncio
import contextvars
import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from ingest_service.auth.caller import Caller, Scope
from ingest_service.auth.keys import digest_of, id_in
from ingest_service.database import Database
from ingest_service.errors import OutageError, RefusedError
from shared.connections.tenancy import ALL_TENANTS

REMEMBERED_S = 10.0  # bounds what a pooler can do that loses notifications


class LiveKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that is good now, as the record has it."""

    digest: bytes
    caller: Caller
    left_s: float | None  # until it expires; None: never


class _Remembered(msgspec.Struct, frozen=True):
    digest: bytes
    caller: Caller
    until_s: float  # on the loop's clock


FindKeys = Callable[[Sequence[str]], Awaitable[Mapping[str, LiveKey]]]  # by id; raises OutageError


class KeyRing:
    """The one of a process."""

    def __init__(self, find: FindKeys) -> None:
        self._find = find
        self._remembered: dict[str, _Remembered] = {}
        self._asked: dict[str, asyncio.Future[LiveKey | None]] = {}
        self._asking: asyncio.Task[None] | None = None
        self._is_told = False  # of changes
        self._changes = 0  # that we were told of

    async def caller(self, presented: bytes) -> Caller:
        """Whose key it is. RefusedError `unauthorized`; OutageError when only Postgres could say."""
        key_id = id_in(presented)
        if key_id is None:
            raise unauthorized("This is no API key.")
        remembered = self._remembered.get(key_id)
        if remembered and remembered.until_s > asyncio.get_running_loop().time():
            return _checked(remembered, presented)
        return _checked(await self._ask(key_id), presented)

    def begin_to_remember(self) -> None:
        """From now on `forget` is called for every change."""
        self._is_told = True

    def stop_remembering(self) -> None:
        """Changes may be missed from now on."""
        self._is_told = False
        self.forget("")

    def forget(self, key_id: str) -> None:
        """That key changed; an empty id: any may have."""
        self._changes += 1  # what is being asked for is perhaps how it was before
        if key_id:
            self._remembered.pop(key_id, None)
        else:
            self._remembered.clear()

    async def _ask(self, key_id: str) -> LiveKey | None:
        if key_id not in self._asked:
            self._asked[key_id] = asyncio.get_running_loop().create_future()
        answer = self._asked[key_id]
        if self._asking is None:  # in an empty context: what it logs is not of the request that happened to come first
            self._asking = asyncio.create_task(self._ask_for_all(), context=contextvars.Context())
        try:
            return await asyncio.shield(answer)  # others may wait for it, too
        except OutageError as error:  # an exception for each of them, since raising one writes into it
            raise OutageError(error.code, error.detail) from error.__cause__

    async def _ask_for_all(self) -> None:
        try:
            while self._asked:
                asked, self._asked = self._asked, {}  # whoever comes now wants to know how it is now
                await self._answer(asked)
        finally:
            self._asking = None

    async def _answer(self, asked: Mapping[str, asyncio.Future[LiveKey | None]]) -> None:
        changes = self._changes
        try:
            found = await self._find(list(asked))
        except Exception as error:  # noqa: BLE001 - it is raised where the question came from
            for answer in asked.values():
                answer.set_exception(error)
                answer.exception()  # whoever asked may be gone, and that is no error
            return
        if self._is_told and changes == self._changes:
            self._remember(found)
        for key_id, answer in asked.items():
            answer.set_result(found.get(key_id))

    def _remember(self, found: Mapping[str, LiveKey]) -> None:
        now_s = asyncio.get_running_loop().time()
        for key_id, key in found.items():
            for_s = REMEMBERED_S if key.left_s is None else min(REMEMBERED_S, key.left_s)
            self._remembered[key_id] = _Remembered(key.digest, key.caller, now_s + for_s)

    async def close(self) -> None:
        """Stop asking."""
        if self._asking:
            self._asking.cancel()
            with suppress(asyncio.CancelledError):
                await self._asking


def unauthorized(detail: str) -> RefusedError:
    """The refusal of whoever is not known."""
    return RefusedError("unauthorized", detail)


def _checked(key: LiveKey | _Remembered | None, presented: bytes) -> Caller:
    if key is None or not hmac.compare_digest(key.digest, digest_of(presented)):
        raise unauthorized("This API key is unknown, expired or revoked.")
    return key.caller


# Asks the record for keys by their ids: those that are good now, whoever's they are.

# Of all tenants: whose it is, is what is asked.
LIVE_KEYS = """
    SELECT id, tenant, digest, scopes, extract(epoch FROM expires_at - now())::float AS left_s
    FROM api_keys
    WHERE id = ANY($1::text[]) AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
"""


class KeyFinder:
    """Reads keys; raises OutageError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, key_ids: Sequence[str]) -> Mapping[str, LiveKey]:
        async with self._database.reading(ALL_TENANTS) as connection:
            rows = await connection.fetch(LIVE_KEYS, key_ids)
        return {row["id"]: _live_key(row) for row in rows}


def _live_key(row: Any) -> LiveKey:
    scopes = frozenset(Scope(scope) for scope in row["scopes"])
    caller = Caller(tenant=row["tenant"], scopes=scopes, key_id=row["id"])
    return LiveKey(digest=row["digest"], caller=caller, left_s=row["left_s"])
