"""Ends a connection that has brought more than a webhook's answer may be long, whatever it brought.

An HTTP parser takes in interim answers, empty lines and chunk extensions without end; none of them would show as body.
"""

import asyncio
from typing import cast


class LimitedAnswer(asyncio.Protocol):
    """Stands between a transport and its protocol, and hands on the first `limit_bytes` only."""

    @classmethod
    def on(cls, transport: asyncio.Transport, limit_bytes: int) -> None:
        """Limit what the transport's protocol gets from now on."""
        transport.set_protocol(cls(transport, limit_bytes))

    def __init__(self, transport: asyncio.Transport, limit_bytes: int) -> None:
        self._transport = transport
        self._inner = cast(asyncio.Protocol, transport.get_protocol())
        self._left_bytes = limit_bytes

    def data_received(self, data: bytes) -> None:
        """Hand on what is within the limit; the end comes with the first byte beyond."""
        within, self._left_bytes = data[: self._left_bytes], self._left_bytes - len(data)
        if within:
            self._inner.data_received(within)
        if self._left_bytes < 0:
            self._left_bytes = 0
            self._transport.abort()

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()
