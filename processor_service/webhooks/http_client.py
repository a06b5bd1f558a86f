"""Opens the HTTP session that webhooks go out through; its connector makes no socket for an address that is refused.

The address is judged after the name was looked up and just before the connection is made: what is judged is what is
connected to. Nothing is kept between requests: no cookie, no connection, no proxy from the environment.
"""

import socket
from contextvars import ContextVar
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.connector import Connection

from processor_service.settings import ProcessorSettings
from processor_service.webhooks.limit_answer import LimitedAnswer
from processor_service.webhooks.resolve import Resolver
from processor_service.webhooks.target_guard import refusal
from processor_service.webhooks.turns import Turns

MAX_ANSWER_BYTES = 64 << 10  # with its headers; the system's buffer is no larger, so little more leaves the endpoint

# Of the addresses that one request tried: why each was refused, or None.
_verdicts: ContextVar[list[str | None]] = ContextVar("webhook_address_verdicts")


class TargetRefusedError(aiohttp.ClientError):
    """No address of the host may be connected to; says of which kind one of them is."""


class GuardedConnector(aiohttp.TCPConnector):
    """Connects only to where `target_guard` allows; of several addresses of a name, to those that it allows."""

    def __init__(self, settings: ProcessorSettings, resolver: AbstractResolver) -> None:
        self.turns = Turns(settings.deliveries)
        self._allow_private = settings.webhook_allow_private
        self._names = resolver
        super().__init__(
            resolver=resolver,
            socket_factory=self._open_socket,
            force_close=True,
            limit=0,  # there are never more than `deliveries`
        )

    async def connect(self, *args: Any, **kwargs: Any) -> Connection:
        """As the library's; raises TargetRefusedError when it failed only because of refused addresses."""
        verdicts: list[str | None] = []
        token = _verdicts.set(verdicts)
        try:
            connection = await super().connect(*args, **kwargs)
        except aiohttp.ClientConnectorError as error:
            if verdicts and all(verdicts):
                raise TargetRefusedError(verdicts[0]) from error
            raise
        finally:
            _verdicts.reset(token)
        if connection.transport:  # None: already lost
            LimitedAnswer.on(connection.transport, MAX_ANSWER_BYTES)
        return connection

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
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MAX_ANSWER_BYTES)
        return opened


def open_session(settings: ProcessorSettings, *, resolver: AbstractResolver | None = None) -> aiohttp.ClientSession:
    """The session for all deliveries of a process; closing it closes everything."""
    connector = GuardedConnector(settings, resolver or Resolver(at_once=settings.deliveries))
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        read_bufsize=MAX_ANSWER_BYTES,
        timeout=aiohttp.ClientTimeout(),  # `send` bounds the whole
    )


def turns_of(http: aiohttp.ClientSession) -> Turns:
    """The shares of the session's hosts. Raises TypeError for a session without a guard: nothing may go out there."""
    if not isinstance(http.connector, GuardedConnector):
        raise TypeError("webhooks are sent through `open_session` only")
    return http.connector.turns
