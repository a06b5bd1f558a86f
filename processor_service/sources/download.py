"""Downloads a URL as one stream over as many connections as it takes.

A broken connection is continued by another one (`Range`) if an ETag or a date proves that the source is unchanged
(`If-Range`). This module stores nothing.
"""

import asyncio
import datetime as dt
import re
from collections.abc import AsyncIterator, Awaitable, Mapping
from email.utils import parsedate_to_datetime
from typing import TypeVar

import aiohttp
import msgspec

from processor_service import errors
from processor_service.outbound.http_errors import retry_after_s, why_broken
from processor_service.settings import ProcessorSettings
from processor_service.sources.open_url import open_url

T = TypeVar("T")

RETRYABLE_STATUSES = frozenset({408, 421, 425, 429})  # and all 5xx
REFUSALS = {
    204: "has no content at this URL (204)",
    401: "requires authentication (401)",
    403: "denies access (403)",
    404: "did not find it (404)",
    410: "no longer has it (410)",
}
RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(?:(\d{1,18})|\*)", re.ASCII)
WAITS_S = (0.2, 1.0, 3.0)  # before the next connection, while consecutive ones receive less than LITTLE_BYTES
LITTLE_BYTES = 64 << 10


class Source(msgspec.Struct, frozen=True):
    """What the first answer stated about the source."""

    validator: str | None
    total_bytes: int | None  # None: unknown until the end


class Download:
    """One download, from its first byte."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        settings: ProcessorSettings,
        client_headers: Mapping[str, str] | None = None,
    ) -> None:
        """`client_headers`: see `open_url`."""
        self._http = http
        self._url = url
        self._settings = settings
        self._client_headers = client_headers
        self._source: Source | None = None
        self._response: aiohttp.ClientResponse | None = None
        self._offset = 0
        self._pace = Pace(settings)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield all bytes, in pieces that are not empty. Raises errors.SourceChangedError, or TaskError."""
        failures = 0
        while True:
            start = self._offset
            try:
                async for piece in self._connection():
                    yield piece
            except errors.SourceBrokenError as error:
                failures = failures + 1 if self._offset - start < LITTLE_BYTES else 1
                if self._source is None or failures > len(WAITS_S):
                    raise error.failure from None
                if self._offset and self._source.validator is None:
                    raise errors.SourceChangedError(str(error)) from None
            else:
                return
            await asyncio.sleep(WAITS_S[failures - 1])

    def close(self) -> None:
        """Close the connection, also while another task reads from it."""
        if self._response:
            self._response.close()

    async def _connection(self) -> AsyncIterator[bytes]:
        """Yield what one connection receives, from the offset where the previous one ended."""
        opening = open_url(self._http, self._url, self._headers(), self._settings, client_headers=self._client_headers)
        self._response = response = await (self._pace.waiting(opening) if self._source else opening)
        self._pace.start_window(self._offset)
        try:
            source = self._source = self._checked(response)
            while piece := await self._pace.waiting(response.content.readany()):
                self._offset += len(piece)
                self._pace.received(self._offset, source.total_bytes or 0)
                self._check_size(self._offset)
                yield piece
        except (aiohttp.ClientError, OSError) as error:
            raise errors.SourceBrokenError(why_broken(error, "the source")) from None
        finally:
            response.close()
        if source.total_bytes is not None and self._offset < source.total_bytes:
            raise errors.SourceBrokenError("sent fewer bytes than it declared")

    def _headers(self) -> dict[str, str]:
        if self._source is None or self._source.validator is None or not self._offset:
            return {}
        return {"range": f"bytes={self._offset}-", "if-range": self._source.validator}

    def _checked(self, response: aiohttp.ClientResponse) -> Source:
        """Return the source that the answer serves from `_offset` on. Raise the error for any other answer."""
        if self._offset == 0 and response.status == 200:
            total_bytes = response.content_length
            self._check_size(total_bytes or 0)
            return Source(strong_validator(response.headers), total_bytes)
        if self._source is None or response.status not in {200, 206, 416}:
            raise refusal_of(response.status, response.headers)
        if response.status != 206 or not self._continues(self._source, response):
            raise errors.SourceChangedError("changed the content during the download")
        return self._source

    def _continues(self, source: Source, response: aiohttp.ClientResponse) -> bool:
        span = RANGE.fullmatch(response.headers.get("content-range", ""))
        if not span or int(span[1]) != self._offset:
            return False
        if span[3] and source.total_bytes not in {None, int(span[3])}:
            return False
        return strong_validator(response.headers) in {None, source.validator}

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self._settings.max_upload_bytes:
            raise errors.source_too_large(self._settings.max_upload_bytes)


class Pace:
    """Enforces the least rate of one download. Counts only the time spent waiting for the server.

    A connection below `fetch_least_bytes_per_s` is replaced. The whole download must be faster by what its size needs
    to end within `fetch_timeout_s`, and may be one window late: another connection does not make a server faster.
    """

    def __init__(self, settings: ProcessorSettings) -> None:
        self._settings = settings
        self._window_s = settings.fetch_silence_s
        self._waited_s = 0.0
        self._window_began = 0.0, 0  # time waited and bytes received before it

    async def waiting(self, answer: Awaitable[T]) -> T:
        """Await what the server sends; count the time."""
        clock = asyncio.get_running_loop().time
        began_s = clock()
        try:
            return await answer
        finally:
            self._waited_s += clock() - began_s

    def start_window(self, offset: int) -> None:
        """Start a window: a new connection is judged by itself."""
        self._window_began = self._waited_s, offset

    def received(self, offset: int, total_bytes: int) -> None:
        """Judge the download, and the connection at the end of a window. Raises SourceBrokenError, or TaskError."""
        least_of_all = least_bytes_per_s(max(offset, total_bytes), self._settings)
        if offset < (self._waited_s - self._window_s) * least_of_all:
            raise errors.source_unavailable("sends too slowly for the size of the source")
        began_s, began_at = self._window_began
        window_s = self._waited_s - began_s
        if window_s < self._window_s:
            return
        self._window_began = self._waited_s, offset
        if offset - began_at < window_s * self._settings.fetch_least_bytes_per_s:
            raise errors.SourceBrokenError("sends too slowly")


def least_bytes_per_s(size_bytes: int, settings: ProcessorSettings) -> float:
    """Return the least average rate for a source of a size: it rises with the size."""
    return settings.fetch_least_bytes_per_s + size_bytes / settings.fetch_timeout_s


def refusal_of(status: int, headers: Mapping[str, str]) -> errors.PermanentError | errors.SourceBrokenError:
    """Return the error for an answer without the source."""
    if status in RETRYABLE_STATUSES or status >= 500:
        return errors.SourceBrokenError(f"answered {status}", retry_after_s=_wait_s(headers))
    return errors.source_refused(REFUSALS.get(status, f"answered {status}"))


def strong_validator(headers: Mapping[str, str]) -> str | None:
    """Return a validator for `If-Range` that guarantees the same bytes (RFC 9110, 8.8 and 13.1.5)."""
    etag = headers.get("etag", "")
    if etag.startswith('"') and etag.isascii():
        return etag
    modified_at, at = _time(headers.get("last-modified")), _time(headers.get("date"))
    is_strong = modified_at and at and at - modified_at >= dt.timedelta(seconds=1)
    return headers.get("last-modified") if is_strong else None


def _wait_s(headers: Mapping[str, str]) -> float | None:
    """A date is relative to the server's own clock, if it sends one."""
    now = _time(headers.get("date")) or dt.datetime.now(dt.UTC)
    return retry_after_s(headers["retry-after"], now=now) if "retry-after" in headers else None


def _time(value: str | None) -> dt.datetime | None:
    try:
        time = parsedate_to_datetime(value or "")
    except (ValueError, OverflowError):
        return None
    return time.replace(tzinfo=time.tzinfo or dt.UTC)
