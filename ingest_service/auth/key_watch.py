"""Ends what a client holds open, such as event streams, when its key or session ends: revoked, expired or deleted."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from ingest_service.auth.caller import Caller
from shared.telemetry.logs import Log
from shared.telemetry.outages import Outages

CHECK_S = 10.0  # for keys that expire, and for notifications that a pooler loses
RETRY_S = 1.0  # while the database is unavailable

FindKeys = Callable[[Sequence[str]], Awaitable[Mapping[str, Any]]]  # the valid ones, by id
End = Callable[[], None]


class KeyWatch:
    """The keys and sessions of this process that have something open."""

    def __init__(self, find: FindKeys) -> None:
        self._find = find
        self._open: dict[str, list[End]] = {}
        self._changed = asyncio.Event()
        self._checking: asyncio.Task[None] | None = None
        self._outages = Outages(Log(__name__), "key_check_failed", "key_check_resumed")

    @contextmanager
    def until_invalid(self, caller: Caller, end: End) -> Iterator[None]:
        """Call `end` if the caller's key or session becomes invalid during the block."""
        key_id = caller.credential_id
        if key_id is None:  # keys are not required
            yield
            return
        self._open.setdefault(key_id, []).append(end)
        self._changed.set()  # the key may have been revoked since the request was authenticated
        self._checking = self._checking or asyncio.create_task(self._check_forever())
        try:
            yield
        finally:
            self._open[key_id].remove(end)
            if not self._open[key_id]:
                del self._open[key_id]

    def check(self) -> None:
        """Check the keys now: one may have changed."""
        self._changed.set()

    async def close(self) -> None:
        if self._checking:
            self._checking.cancel()
            with suppress(asyncio.CancelledError):
                await self._checking

    async def _check_forever(self) -> None:
        wait_s = CHECK_S
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            self._changed.clear()
            wait_s = CHECK_S if await self._check() else RETRY_S

    async def _check(self) -> bool:
        """Return whether the database answered."""
        asked = list(self._open)
        if not asked:
            return True
        try:
            valid = await self._find(asked)
        except Exception as error:  # noqa: BLE001 - the check must survive every error
            self._outages.failed(error)
            return False
        self._outages.worked()
        for key_id in asked:
            if key_id not in valid:
                for end in self._open.get(key_id, ()):
                    end()
        return True
