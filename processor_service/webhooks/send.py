"""Sends webhooks: a guarded HTTP session, and one request whose answer is bounded in time and size.

The session keeps nothing between requests: no cookies, no connections, no proxy from the environment.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, Literal, cast
from uuid import UUID

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.connector import Connection
from yarl import URL

from processor_service.outbound.guard import GuardedConnector, Resolver, TargetRefusedError
from processor_service.outbound.http_errors import why_broken
from processor_service.outbound.shares import Shares
from processor_service.settings import ProcessorSettings
from processor_service.webhooks.delivery_result import Answer, Blocked, NoAnswer

STORED_BYTES = 500  # of an answer's body
MAX_ANSWER_BYTES = 64 << 10  # with headers; the receive buffer is no larger, so the endpoint sends little more


def open_webhook_session(
    settings: ProcessorSettings, *, resolver: AbstractResolver | None = None
) -> aiohttp.ClientSession:
    """Open the session for all deliveries of a process; closing it closes the connector and the resolver."""
    connector = WebhookConnector(settings, resolver or Resolver(at_once=settings.deliveries))
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        read_bufsize=MAX_ANSWER_BYTES,
        timeout=aiohttp.ClientTimeout(),  # `send` limits the total time
    )


class DeliveryShares:
    """Shares deliveries between hosts, and those of a host between endpoints: one that hangs delays no other's."""

    def __init__(self, at_once: int) -> None:
        self.hosts = Shares(at_once)
        self._endpoints = Shares(at_once, most_each=max(1, at_once // 4))

    def wait_s(self, host: str, endpoint_id: UUID | None) -> float:
        """Return how long a delivery must wait; 0: it may start."""
        return self.hosts.wait_s(host) or (self._endpoints.wait_s(str(endpoint_id)) if endpoint_id else 0.0)

    @contextlib.contextmanager
    def counted(self, host: str, endpoint_id: UUID | None) -> Iterator[None]:
        """Count a delivery as in progress for the length of a block."""
        with self.hosts.counted(host), self._endpoints.counted(str(endpoint_id or host)):
            yield


def shares_of(http: aiohttp.ClientSession) -> DeliveryShares:
    """Return the shares of a session. Raise TypeError for a session without a guard: it must not send."""
    if not isinstance(http.connector, WebhookConnector):
        raise TypeError("Webhooks require a session from `open_webhook_session`.")
    return http.connector.shares


async def send(  # noqa: PLR0913 - the parts of one request
    http: aiohttp.ClientSession,
    url: URL,
    *,
    body: str | bytes,
    headers: Mapping[str, str],
    timeout_s: float,
    method: Literal["POST", "PUT"] = "POST",
) -> Answer | NoAnswer | Blocked:
    """Send the body, without redirects, within `timeout_s` in total. Nothing an endpoint does raises an exception."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    try:
        async with asyncio.timeout_at(deadline):
            response = await http.request(
                method,
                url,
                data=body.encode() if isinstance(body, str) else body,
                headers={**headers, "accept-encoding": "identity"},
                allow_redirects=False,
            )
    except TargetRefusedError as error:
        return Blocked(f"its host is at {error}")
    except aiohttp.InvalidURL:
        return Blocked("it names no host")
    except (aiohttp.ClientError, OSError) as error:
        return NoAnswer(f"{why_broken(error)}.")
    try:
        start = await _start_of_body(response, deadline)
    finally:
        response.close()
    return Answer(status=response.status, retry_after=response.headers.get("retry-after"), text=printable(start))


async def _start_of_body(response: aiohttp.ClientResponse, deadline: float) -> bytes:
    """Read to the end, so that the endpoint can finish; ignore a body that stalls or breaks."""
    start = b""
    with contextlib.suppress(aiohttp.ClientError, OSError):
        async with asyncio.timeout_at(deadline):
            async for piece in response.content.iter_any():
                start += piece[: STORED_BYTES - len(start)]
    return start


def printable(answer: bytes) -> str:
    """Return text that a database can store and a terminal can show."""
    text = answer.decode(errors="replace")
    return "".join(one if one.isprintable() or one in "\n\t" else "\N{REPLACEMENT CHARACTER}" for one in text)


class WebhookConnector(GuardedConnector):
    """A guarded connector that shares deliveries between hosts and endpoints, and limits the bytes of each answer."""

    def __init__(self, settings: ProcessorSettings, resolver: AbstractResolver) -> None:
        self.shares = DeliveryShares(settings.deliveries)
        super().__init__(resolver, allow_private=settings.webhook_allow_private, receive_buffer_bytes=MAX_ANSWER_BYTES)

    async def connect(self, *args: Any, **kwargs: Any) -> Connection:
        connection = await super().connect(*args, **kwargs)
        if connection.transport:  # None: already lost
            BoundedAnswer.on(connection.transport, MAX_ANSWER_BYTES)
        return connection


class BoundedAnswer(asyncio.Protocol):
    """Sits between a transport and its protocol; passes on the first `limit_bytes` and then aborts the connection.

    An HTTP parser accepts interim answers, empty lines and chunk extensions without end. A limit on the body does not
    count them.
    """

    @classmethod
    def on(cls, transport: asyncio.Transport, limit_bytes: int) -> None:
        """Limit what the transport's protocol receives from now on."""
        transport.set_protocol(cls(transport, limit_bytes))

    def __init__(self, transport: asyncio.Transport, limit_bytes: int) -> None:
        self._transport = transport
        self._inner = cast(asyncio.Protocol, transport.get_protocol())
        self._left_bytes = limit_bytes

    def data_received(self, data: bytes) -> None:
        """Pass on the bytes within the limit; abort at the first byte beyond it."""
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
