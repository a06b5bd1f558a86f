"""Identifiers of jobs and tasks: UUIDs (RFC 9562) that begin with a time, so that newer ids sort after older ones.

Jobs have version 7, or 8 if the keys of their blobs spread (`shared/blobs/blob_keys.py`). A task has version 8 and the
time of its job, so that its id shows in which slice its row is.
"""

import datetime as dt
import os
import threading
import time
import uuid
from collections.abc import Iterable

TIME_SHIFT = 80  # the bits after the time
TASK_VERSION = 8
LOWEST, HIGHEST = uuid.UUID(int=0), uuid.UUID(int=(1 << 128) - 1)

POOL_BYTES = 4096  # read from the system at once: a system call costs more than the rest of an id


class _Entropy(threading.local):
    """The system's random bytes, each used once; one pool for each thread."""

    def __init__(self) -> None:
        self._pool = b""
        self._taken = 0

    def forget(self) -> None:
        self._pool = b""

    def take(self, count: int) -> bytes:
        if self._taken + count > len(self._pool):
            self._pool = os.urandom(POOL_BYTES)
            self._taken = 0
        start = self._taken
        self._taken += count
        return self._pool[start : self._taken]


_entropy = _Entropy()
os.register_at_fork(after_in_child=_entropy.forget)  # or parent and child would make the same ids


PLAIN, SPREADING = 7, 8  # versions of the ids of jobs and uploads


def new_id(version: int = PLAIN) -> uuid.UUID:
    """Return a new id: 48 bits of Unix milliseconds, version and variant, 74 random bits."""
    return _new_uuid(time.time_ns() // 1_000_000, version=version)


def new_task_id(job_id: uuid.UUID) -> uuid.UUID:
    """Return a new UUIDv8: the first 48 bits of the job's id, version and variant, 74 random bits."""
    return _new_uuid(job_id.int >> TIME_SHIFT, version=TASK_VERSION)


def jobs_of(task_ids: Iterable[uuid.UUID]) -> tuple[uuid.UUID, uuid.UUID]:
    """Return the lowest and the highest id that the jobs of these tasks can have.

    Former versions gave a task the time of its creation: its job can have any id.
    """
    spans = [_span(task_id) for task_id in task_ids]
    return min((low for low, _ in spans), default=LOWEST), max((high for _, high in spans), default=LOWEST)


def _span(task_id: uuid.UUID) -> tuple[uuid.UUID, uuid.UUID]:
    if task_id.version != TASK_VERSION:
        return LOWEST, HIGHEST
    low = task_id.int >> TIME_SHIFT << TIME_SHIFT
    return uuid.UUID(int=low), uuid.UUID(int=low | (1 << TIME_SHIFT) - 1)


def _new_uuid(unix_ms: int, *, version: int) -> uuid.UUID:
    value = (unix_ms & (1 << 48) - 1) << TIME_SHIFT | int.from_bytes(_entropy.take(10), "big")
    value = value & ~(0xF << 76) | version << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return uuid.UUID(int=value)


def made_at(job_id: uuid.UUID) -> dt.datetime:
    """Return the time in the id of a job, in UTC."""
    return dt.datetime.fromtimestamp((job_id.int >> TIME_SHIFT) / 1000, dt.UTC)


def is_spreading(id_: uuid.UUID) -> bool:
    """Whether the keys of the id's blobs spread."""
    return id_.version == SPREADING


def parse_id(text: str) -> uuid.UUID | None:
    """Return the id that a client sent; None unless it has the usual form. UUID() also accepts braces and prefixes."""
    try:
        found = uuid.UUID(text)
    except ValueError:
        return None
    return found if str(found) == text.lower() else None


def new_token(byte_count: int) -> str:
    """Return random bytes as hexadecimal digits: a unique name, not a secret."""
    return _entropy.take(byte_count).hex()
