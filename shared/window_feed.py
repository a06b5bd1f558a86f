"""The feed of a job's windows: text that a processor publishes while it transcribes, for clients that stream it.

A Redis stream for each job whose stored options ask for it. It may be incomplete, or lost at any time: no task depends
on it, and the stored transcript is what counts.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from shared.connections.redis import Redis
from shared.schemas.windows import Window

KEY_PREFIX = "headrace:windows:"
MAX_ENTRIES = 10_000  # of a job; a day of speech has about 4,000 windows
EXPIRE_S = 15 * 60  # after the last entry
FIELD = b"w"
START = b"0-0"  # before the first entry

Ids = Mapping[UUID, bytes]  # the id of the last entry that was read, by job


class WindowOrder:
    """Puts windows in order of time: those of a chunk follow when all earlier chunks have ended."""

    def __init__(self) -> None:
        self._chunk = 0  # the first one that has not ended
        self._newest: dict[int, int] = {}
        self._held: dict[int, list[Window]] = {}

    def add(self, window: Window) -> list[Window]:
        """Add the next window of the feed. Return those that follow now; none for a repetition."""
        if window.number <= self._newest.get(window.chunk, -1):
            return []
        self._newest[window.chunk] = window.number
        self._held.setdefault(window.chunk, []).append(window)
        following: list[Window] = []
        while held := self._held.pop(self._chunk, None):
            following += held
            if not held[-1].is_last:
                break
            self._chunk += 1
        return following


def window_key(job_id: UUID) -> str:
    return f"{KEY_PREFIX}{job_id}"


async def append_windows(redis: Redis, windows: Iterable[tuple[UUID, Window]]) -> None:
    """Append windows to the feeds of their jobs, in order, with one round trip. Raise Redis' errors."""
    async with redis.pipeline(transaction=False) as pipeline:
        for job_id, window in windows:
            key = window_key(job_id)
            pipeline.xadd(key, {FIELD: msgspec.msgpack.encode(window)}, maxlen=MAX_ENTRIES, approximate=True)
            pipeline.expire(key, EXPIRE_S)
        await pipeline.execute()


async def read_windows(
    redis: Redis, after: Ids, *, block_ms: int, at_most: int
) -> dict[UUID, Sequence[tuple[bytes, Window]]]:
    """Return the entries after the given ones, `at_most` of a job. Wait up to `block_ms` for one.

    Raise Redis' errors.
    """
    by_key: dict[bytes, UUID] = {window_key(job_id).encode(): job_id for job_id in after}
    streams: Any = dict(zip(by_key, after.values(), strict=True))
    found = await redis.xread(streams, count=at_most, block=block_ms)
    return {by_key[key]: [(entry_id, _decoded(fields)) for entry_id, fields in entries] for key, entries in found}


def _decoded(fields: Mapping[bytes, bytes]) -> Window:
    """Decode an entry. One of an unknown form is a window without text that is dropped as a repetition."""
    try:
        return msgspec.msgpack.decode(fields[FIELD], type=Window)
    except (KeyError, msgspec.MsgspecError):
        return Window(number=-1)


async def delete_windows(redis: Redis, job_id: UUID) -> None:
    """Delete a job's feed. Raise Redis' errors."""
    await redis.delete(window_key(job_id))
