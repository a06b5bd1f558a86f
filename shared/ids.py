"""Identifiers of jobs and tasks: UUID version 7 (RFC 9562), so that newer ids sort after older ones."""

import os
import threading
import time
import uuid

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


def new_id() -> uuid.UUID:
    """Return a new UUIDv7: 48 bits of Unix milliseconds, version and variant, 74 random bits."""
    unix_ms = time.time_ns() // 1_000_000
    value = (unix_ms & (1 << 48) - 1) << 80 | int.from_bytes(_entropy.take(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return uuid.UUID(int=value)


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
