"""Writes the files of a compute child, and nothing else does: every byte counts against the limits of its request.

The limits belong to the process, like those of the kernel in compute/resource_limits.py. `limit_writes` sets them
before each request, so that no request can be made without them.
"""

from pathlib import Path

import msgspec

from processor_service.errors import storage_full, too_much_audio
from shared.disk_reserve import NEARLY_NOTHING_BYTES, ReserveError, free_disk_bytes, is_full, require_room

MOST_COMPRESSED = 20  # silence takes no space, but its decoding takes time: so many times the budget before compression


class WriteLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a request may write: so many bytes (None: any number), and none of the disk's reserve."""

    most_bytes: int | None = None
    min_free_bytes: int = 0


class _Written:
    """The limits of the current request, and the bytes that it has written."""

    def __init__(self, limits: WriteLimits) -> None:
        self.limits = limits
        self.bytes = 0
        self.sample_bytes = 0


_written = _Written(WriteLimits())


def limit_writes(limits: WriteLimits) -> None:
    """Set the limits of the next request."""
    global _written  # noqa: PLW0603 - one request at a time, as the limits of the kernel
    _written = _Written(limits)


class GrowingFile:
    """Counts the bytes of a file that a library writes. Call `grew` after each of its writes, which must be small."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._counted_bytes = 0

    def grew(self, sample_bytes: int = 0) -> None:
        """Raise AudioError beyond the budget, TransientError when the disk has only its reserve left.

        `sample_bytes` is the size of the samples before their compression.
        """
        _count_samples(sample_bytes)
        size = self._path.stat().st_size
        _count(self._path, size - self._counted_bytes)
        self._counted_bytes = size

    def is_disk_full(self) -> bool:
        """Whether the disk is full: libraries do not say why a write failed."""
        return free_disk_bytes(self._path.parent) < NEARLY_NOTHING_BYTES


def write_file(path: Path, data: bytes) -> None:
    """Write a whole file within the limits. Raises as `GrowingFile.grew` does."""
    _count(path, len(data))
    try:
        path.write_bytes(data)
    except OSError as error:
        if is_full(error):
            raise storage_full() from error
        raise


def _count_samples(more_bytes: int) -> None:
    most_bytes = _written.limits.most_bytes
    _written.sample_bytes += more_bytes
    if most_bytes is not None and _written.sample_bytes > most_bytes * MOST_COMPRESSED:
        raise too_much_audio(most_bytes)


def _count(path: Path, more_bytes: int) -> None:
    limits = _written.limits
    _written.bytes += more_bytes
    if limits.most_bytes is not None and _written.bytes > limits.most_bytes:
        raise too_much_audio(limits.most_bytes)
    try:
        require_room(path.parent, limits.min_free_bytes)
    except ReserveError as error:
        raise storage_full() from error
