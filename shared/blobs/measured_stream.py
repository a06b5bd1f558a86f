"""Counts and hashes a stream of bytes while another reader consumes it."""

import hashlib
from collections.abc import AsyncIterator, Callable


class MeasuredStream:
    """A stream whose first bytes were read before. `bytes` and `sha256` are of what was read so far."""

    def __init__(self, head: bytes, rest: AsyncIterator[bytes]) -> None:
        self.bytes = 0
        self._head = head
        self._rest = rest
        self._sha256 = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the head, then the rest."""
        yield self._measured(self._head)
        async for piece in self._rest:
            yield self._measured(piece)

    def _measured(self, piece: bytes) -> bytes:
        self.bytes += len(piece)
        self._sha256.update(piece)
        return piece


async def read_head(pieces: AsyncIterator[bytes], needs_more: Callable[[bytes], bool]) -> bytes:
    """Read pieces as long as what was read `needs_more`, or until the stream ends."""
    head = bytearray()
    async for piece in pieces:
        head += piece
        if not needs_more(bytes(head)):
            break
    return bytes(head)
