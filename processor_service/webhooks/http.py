"""Opens the HTTP session that webhooks go out through: guarded, shared between hosts, with answers of bounded length.

Nothing is kept between requests: no cookie, no connection, no proxy from the environment.
"""

from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.connector import Connection

from processor_service.outbound.guard import GuardedConnector, Resolver
from processor_service.settings import ProcessorSettings
from processor_service.webhooks.host_shares import Turns
from processor_service.webhooks.limit_answer import LimitedAnswer

MAX_ANSWER_BYTES = 64 << 10  # with its headers; the system's buffer is no larger, so little more leaves the endpoint


class WebhookConnector(GuardedConnector):
    """Also shares the deliveries between hosts, and ends connections that bring too much."""

    def __init__(self, settings: ProcessorSettings, resolver: AbstractResolver) -> None:
        self.turns = Turns(settings.deliveries)
        super().__init__(resolver, allow_private=settings.webhook_allow_private, receive_buffer_bytes=MAX_ANSWER_BYTES)

    async def connect(self, *args: Any, **kwargs: Any) -> Connection:
        """As the guarded one's."""
        connection = await super().connect(*args, **kwargs)
        if connection.transport:  # None: already lost
            LimitedAnswer.on(connection.transport, MAX_ANSWER_BYTES)
        return connection


def open_session(settings: ProcessorSettings, *, resolver: AbstractResolver | None = None) -> aiohttp.ClientSession:
    """The session for all deliveries of a process; closing it closes everything."""
    connector = WebhookConnector(settings, resolver or Resolver(at_once=settings.deliveries))
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
    if not isinstance(http.connector, WebhookConnector):
        raise TypeError("webhooks are sent through `open_session` only")
    return http.connector.turns
