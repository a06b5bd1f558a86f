"""A connector that makes no socket for an address that is refused.

The address is judged after the name was looked up and just before the connection is made: what is judged is what is
connected to. No connection is kept between requests.
"""

import socket
from contextvars import ContextVar
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.connector import Connection

from processor_service.outbound.guard import AllowPrivate, refusal

# Of the addresses that one request tried: why each was refused, or None.
_verdicts: ContextVar[list[str | None]] = ContextVar("outbound_address_verdicts")


class TargetRefusedError(aiohttp.ClientError):
    """No address of the host may be connected to; says of which kind one of them is."""


class GuardedConnector(aiohttp.TCPConnector):
    """Connects only to where `target_guard` allows; of several addresses of a name, to those that it allows."""

    def __init__(
        self, resolver: AbstractResolver, *, allow_private: AllowPrivate, receive_buffer_bytes: int | None = None
    ) -> None:
        self._allow_private = allow_private
        self._receive_buffer_bytes = receive_buffer_bytes
        self._names = resolver
        super().__init__(
            resolver=resolver,
            socket_factory=self._open_socket,
            force_close=True,
            limit=0,  # tasks are limited, and each has one at a time
        )

    async def connect(self, *args: Any, **kwargs: Any) -> Connection:
        """As the library's; raises TargetRefusedError when it failed only because of refused addresses."""
        verdicts: list[str | None] = []
        token = _verdicts.set(verdicts)
        try:
            return await super().connect(*args, **kwargs)
        except aiohttp.ClientConnectorError as error:
            if verdicts and all(verdicts):
                raise TargetRefusedError(verdicts[0]) from error
            raise
        finally:
            _verdicts.reset(token)

    async def close(self, *, abort_ssl: bool = False) -> None:
        """As the library's, and the resolver's end."""
        await super().close(abort_ssl=abort_ssl)
        await self._names.close()

    def _open_socket(self, target: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = target
        reason = refusal(str(address[0]), allow_private=self._allow_private)
        _verdicts.get().append(reason)
        if reason:
            raise PermissionError(reason)
        opened = socket.socket(family, kind, protocol)
        if self._receive_buffer_bytes:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer_bytes)
        return opened
