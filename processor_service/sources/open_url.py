"""Asks for a URL and follows its redirects by hand, the guard at each: what may be asked for and what is connected to.

An answer is handed out before its body is read; whoever gets it closes it.
"""

import asyncio
import re
from collections.abc import Mapping
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from processor_service.errors import SourceBrokenError, blocked, refused
from processor_service.outbound.guard import GuardedConnector, Resolver, TargetRefusedError, refusal_of_url
from processor_service.outbound.http_errors import why_broken
from processor_service.settings import ProcessorSettings

# Opens the HTTP session that sources are fetched through: guarded as webhooks are, without a bound on the answer.
#
# Nothing is kept between requests: no cookie, no connection, no proxy from the environment.

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


REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 5
VISIBLE_ASCII = re.compile(r"[!-~]+")
HEADERS = {"accept": "audio/*, video/*, */*;q=0.5", "accept-encoding": "identity", "user-agent": "Headrace/1"}


async def open_url(
    http: aiohttp.ClientSession, url: str, headers: Mapping[str, str], settings: ProcessorSettings
) -> aiohttp.ClientResponse:
    """The answer at the end of the redirects. Raises SourceBrokenError, or TaskError for what is refused."""
    target = _parsed(url)
    for _ in range(MAX_REDIRECTS + 1):
        if why := refusal_of_url(target, schemes=settings.fetch_schemes, ports=settings.webhook_ports):
            raise blocked(why)
        response = await _get(http, target, headers, settings.fetch_silence_s)
        location = _location(response.status, response.headers)
        if location is None:
            return response
        response.close()
        target = _joined(target, location)
    raise refused("redirects again and again")


async def _get(
    http: aiohttp.ClientSession, url: URL, headers: Mapping[str, str], patience_s: float
) -> aiohttp.ClientResponse:
    try:
        async with asyncio.timeout(patience_s):
            return await http.get(url, headers={**HEADERS, **headers}, allow_redirects=False)
    except TargetRefusedError as error:
        raise blocked(f"its host is at {error}") from None
    except aiohttp.InvalidURL:
        raise blocked("it names no host") from None
    except (aiohttp.ClientError, OSError) as error:
        raise SourceBrokenError(why_broken(error, "the source")) from None  # its words may hold the URL


def _location(status: int, headers: Mapping[str, str]) -> str | None:
    return headers.get("location") if status in REDIRECTS else None


def _parsed(url: str) -> URL:
    """The URL as it is written, since signatures are of the writing; an empty one, which is refused, for no URL."""
    try:
        parsed, written = URL(url), urlsplit(url)
        if not VISIBLE_ASCII.fullmatch(url) or not parsed.raw_authority:
            return parsed
        return URL.build(
            scheme=parsed.scheme,
            authority=parsed.raw_authority,
            path=written.path or "/",
            query_string=written.query,
            encoded=True,
        )
    except ValueError:
        return URL()


def _joined(base: URL, location: str) -> URL:
    try:
        return _parsed(urljoin(str(base), location))
    except ValueError:
        return URL()
