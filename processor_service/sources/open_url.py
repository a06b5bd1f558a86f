"""Requests a URL and follows redirects itself, so that the guard checks every URL and every address.

The answer is returned before its body is read; the caller closes it.
"""

import asyncio
from collections.abc import Mapping
from urllib.parse import urljoin

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from processor_service.errors import SourceBrokenError, source_blocked, source_refused
from processor_service.outbound.exact_url import exact_url
from processor_service.outbound.guard import GuardedConnector, Resolver, TargetRefusedError, refusal_of_url
from processor_service.outbound.http_errors import why_broken
from processor_service.settings import ProcessorSettings

READ_BYTES = 256 << 10
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 5
HEADERS = {"accept": "audio/*, video/*, */*;q=0.5", "accept-encoding": "identity", "user-agent": "Headrace/1"}


def open_source_session(
    settings: ProcessorSettings, *, resolver: AbstractResolver | None = None
) -> aiohttp.ClientSession:
    """Open the guarded session for all sources of a process, without cookies or a proxy from the environment."""
    connector = GuardedConnector(
        resolver or Resolver(at_once=settings.fetches),
        allow_private=settings.webhook_allow_private,
        limit_per_host=settings.fetches_per_host,  # for redirects too, which name their host late
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        read_bufsize=READ_BYTES,
        timeout=aiohttp.ClientTimeout(total=None, sock_read=settings.fetch_silence_s),
    )


async def open_url(
    http: aiohttp.ClientSession,
    url: str,
    headers: Mapping[str, str],
    settings: ProcessorSettings,
    *,
    client_headers: Mapping[str, str] | None = None,
) -> aiohttp.ClientResponse:
    """Return the answer after all redirects. Raises SourceBrokenError, or TaskError for a refused URL.

    `client_headers`, in lower case, may be credentials. They are sent to the origin of the URL. After a redirect to
    another origin they are not sent again, even if that one redirects back: it must not choose what they are used for.
    """
    target = exact_url(url)
    origin, own = origin_of(target), {**(client_headers or {})}
    for _ in range(MAX_REDIRECTS + 1):
        if origin_of(target) != origin:
            own = {}
        if reason := refusal_of_url(target, schemes=settings.fetch_schemes, ports=settings.webhook_ports):
            raise source_blocked(reason)
        response = await _get(http, target, {**own, **headers}, settings.fetch_silence_s)
        location = _location(response.status, response.headers)
        if location is None:
            return response
        response.close()
        target = _joined(target, location)
    raise source_refused(f"redirects more than {MAX_REDIRECTS} times")


async def _get(
    http: aiohttp.ClientSession, url: URL, headers: Mapping[str, str], timeout_s: float
) -> aiohttp.ClientResponse:
    try:
        async with asyncio.timeout(timeout_s):
            return await http.get(url, headers={**HEADERS, **headers}, allow_redirects=False)
    except TargetRefusedError as error:
        raise source_blocked(f"its host is at {error}") from None
    except aiohttp.InvalidURL:
        raise source_blocked("it names no host") from None
    except (aiohttp.ClientError, OSError) as error:
        raise SourceBrokenError(why_broken(error, "the source")) from None  # the error's text may contain the URL


def origin_of(url: URL) -> tuple[str, str | None, int | None]:
    """Return the origin of a URL (RFC 6454): its scheme, host and port."""
    return url.scheme, url.raw_host, url.port


def _location(status: int, headers: Mapping[str, str]) -> str | None:
    return headers.get("location") if status in REDIRECTS else None


def _joined(base: URL, location: str) -> URL:
    try:
        return exact_url(urljoin(str(base), location))
    except ValueError:
        return URL()
