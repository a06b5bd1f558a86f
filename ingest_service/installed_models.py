"""The models that processors have, and whether any can summarize, read from Redis in the background.

No request waits for them.

A job that names another model would fail later. It is refused at its submission if that is certain, and accepted
while no processor has been seen lately, or Redis is unavailable.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ingest_service.errors import RefusedError
from shared.connections.redis import FAILED
from shared.connections.redis_shards import RedisShards, ask_each
from shared.queue.announced_models import ANY_MODEL, SEEN_WITHIN_S, announced_models
from shared.run_beside import run_beside
from shared.telemetry.logs import Log
from shared.telemetry.outages import Outages

REFRESH_S = 5.0
ACCEPT_ANY_S = 60.0  # after a processor of an earlier version was seen, which announces no models
MAX_SHOWN = 20  # names in a refusal


class InstalledModels:
    """The models of all processors. One for each process."""

    def __init__(self, shards: RedisShards) -> None:
        self._shards = shards
        self._names: frozenset[str] = frozenset()
        self._summarizes = False
        self._read_at_s = float("-inf")  # of the loop's clock
        self._unknown_until_s = float("-inf")
        self._outages = Outages(Log(__name__), "models_not_read", "models_read_again")

    @classmethod
    @asynccontextmanager
    async def opened(cls, shards: RedisShards) -> AsyncIterator["InstalledModels"]:
        """Lend an object that is refreshed every REFRESH_S while the block runs."""
        models = cls(shards)
        async with run_beside(models._refresh_forever()):
            yield models

    @property
    def names(self) -> tuple[str, ...] | None:
        """The names, in order; None while they are not known. A processor may take other names, too."""
        now_s = asyncio.get_running_loop().time()
        is_known = now_s - self._read_at_s <= SEEN_WITHIN_S and now_s >= self._unknown_until_s
        if not is_known or not self._names:
            return None
        return tuple(sorted(self._names - {ANY_MODEL}))

    def require(self, model: str | None) -> None:
        """Raise RefusedError `model_unavailable` if certainly no processor has the model. None: the default model."""
        if model is None or model in self._names or ANY_MODEL in self._names or (names := self.names) is None:
            return
        more = ", …" if len(names) > MAX_SHOWN else ""
        installed = ", ".join(f"`{name}`" for name in names[:MAX_SHOWN])
        detail = f"No processor has the model `{model}`. `model` must be one of {installed}{more}, or left out."
        raise RefusedError("model_unavailable", detail)

    def require_summaries(self, *, is_wanted: bool) -> None:
        """Raise RefusedError `invalid_option` if certainly no processor has a chat provider."""
        if is_wanted and not self._summarizes and self.names is not None:
            detail = (
                "No processor has a chat provider: leave out `summary`, `chapters` and `action_items`, or ask the "
                "operator to set HEADRACE_CHAT_PROVIDERS."
            )
            raise RefusedError("invalid_option", detail)

    async def refresh(self) -> None:
        """Read the names once, from every Redis that answers. While none does, they become unknown."""
        try:
            answers = await ask_each(self._shards, announced_models)
            announced = answers.require_one().values()
        except FAILED as error:
            self._outages.failed(error)
            return
        self._outages.worked()
        self._names = frozenset[str]().union(*(one.names for one in announced))
        self._summarizes = any(one.summarizes for one in announced)
        self._read_at_s = asyncio.get_running_loop().time()
        if not all(one.is_complete for one in announced):
            self._unknown_until_s = self._read_at_s + ACCEPT_ANY_S

    async def _refresh_forever(self) -> None:
        while True:
            await self.refresh()
            await asyncio.sleep(REFRESH_S)
