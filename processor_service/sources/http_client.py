"""Opens the HTTP session that sources are fetched through: guarded as webhooks are, without a bound on the answer.

Nothing is kept between requests: no cookie, no connection, no proxy from the environment.
"""

import aiohttp
from aiohttp.abc import AbstractResolver

from processor_service.outbound.guarded_connector import GuardedConnector
from processor_service.outbound.resolve import Resolver
from processor_service.settings import ProcessorSettings

READ_BYTES = 256 << 10


def open_session(settings: ProcessorSettings, *, resolver: AbstractResolver | None = None) -> aiohttp.ClientSession:
    """The session for all sources of a process; closing it closes everything."""
    connector = GuardedConnector(
        resolver or Resolver(at_once=settings.slots), allow_private=settings.webhook_allow_private
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        read_bufsize=READ_BYTES,
        timeout=aiohttp.ClientTimeout(total=None, sock_read=settings.fetch_silence_s),
    )
