"""Fetches the source of a job with an `audio_url` into the blob store: before `prepare`, and without a compute slot.

A tenant and a host have their shares of a process's concurrent fetches; what exceeds them waits without a connection.
A completely stored source is never fetched again, not by another attempt nor after a redrive. Logs contain only the
host of the URL.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import asyncpg
import msgspec

from processor_service.errors import PermanentError, SourceChangedError, source_unavailable
from processor_service.outbound.exact_url import exact_url
from processor_service.outbound.guard import host_of
from processor_service.outbound.shares import Shares
from processor_service.settings import ProcessorSettings
from processor_service.sources.bucket_object import BucketObject
from processor_service.sources.download import Download
from processor_service.sources.source_headers import SourceHeaders
from processor_service.tasks.claim import ClaimedTask
from processor_service.tasks.leases import Leases
from processor_service.tasks.outcomes import Fetched, Postponed
from shared.blobs import blob_keys
from shared.blobs.blob_errors import BlobNotFoundError
from shared.blobs.blob_store import BlobStore
from shared.blobs.measured_stream import MeasuredStream, read_head
from shared.media.sniff_container import ACCEPTED, HEAD_BYTES, needs_more, sniff_container
from shared.schemas.bucket_urls import SCHEME as BUCKET_SCHEME
from shared.schemas.bucket_urls import parse_bucket_url
from shared.schemas.failures import FailureCode
from shared.telemetry.logs import Log

log = Log(__name__)

MAX_STARTS = 3  # from the first byte
SPREAD_S = 0.1  # between the returns of tasks that exceed a share


class SourceFetcher(msgspec.Struct, frozen=True, kw_only=True):
    """Fetches all sources of a process."""

    http: aiohttp.ClientSession
    blobs: BlobStore
    leases: Leases
    settings: ProcessorSettings
    headers: SourceHeaders
    tenants: Shares
    hosts: Shares

    @classmethod
    def open(
        cls,
        *,
        http: aiohttp.ClientSession,
        blobs: BlobStore,
        leases: Leases,
        settings: ProcessorSettings,
        database: asyncpg.Pool,
    ) -> "SourceFetcher":
        """Return a fetcher with the shares that the settings give."""
        return cls(
            http=http,
            blobs=blobs,
            leases=leases,
            settings=settings,
            headers=SourceHeaders(database, settings.encryption_keys),
            tenants=Shares(settings.fetches, most_each=settings.fetches_per_tenant, spread_s=SPREAD_S),
            hosts=Shares(settings.fetches, most_each=settings.fetches_per_host, spread_s=SPREAD_S),
        )

    async def fetch(self, task: ClaimedTask) -> Fetched | Postponed:
        """Store the source of a task that has a URL. Raises TaskError, or BlobStoreError."""
        url = task.source_url or ""
        host = bucket.root if (bucket := parse_bucket_url(url)) else host_of(exact_url(url)) or ""
        if wait_s := self.tenants.wait_s(task.tenant) or self.hosts.wait_s(host):
            log.info("fetch_postponed", host=host, wait_s=round(wait_s, 1))
            return Postponed(wait_s)
        with self.tenants.counted(task.tenant), self.hosts.counted(host):
            source = _Fetch(self, task, url, host)
            found = await source.stored() or await source.fetched()
        await self.headers.forget(task)
        return found


class _Fetch:
    """The source of one task."""

    def __init__(self, fetcher: SourceFetcher, task: ClaimedTask, url: str, host: str) -> None:
        self._fetcher = fetcher
        self._task = task
        self._url = url
        self._host = host  # all that logs show
        self._key = blob_keys.source(task.job_id)

    async def stored(self) -> Fetched | None:
        """Return the facts of a stored source; None if there is none. A lost worker stored it and did not record it."""
        blobs = self._fetcher.blobs
        try:
            size = await blobs.size(self._key)
        except BlobNotFoundError:
            return None
        pieces = blobs.read(self._key, 0, size)
        return await _facts(pieces, _read_through)

    async def fetched(self) -> Fetched:
        """Fetch and store the source; return its facts."""
        timeout_s = self._fetcher.settings.fetch_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                return await self._start_until_whole()
        except TimeoutError:
            raise source_unavailable(f"took longer than {timeout_s:.0f} s to send the source") from None

    async def _start_until_whole(self) -> Fetched:
        reason = ""
        for _ in range(MAX_STARTS):
            try:
                return await self._once()
            except SourceChangedError as error:
                reason = str(error)
                log.warning("source_download_restarted", host=self._host, reason=reason)
        raise source_unavailable(reason)

    async def _once(self) -> Fetched:
        download = await self._opened()
        try:
            return await _facts(download.pieces(), self._store)
        finally:
            download.close()  # a cancelled put leaves its stream open, waiting for the server

    async def _opened(self) -> Download | BucketObject:
        fetcher, task = self._fetcher, self._task
        if self._url.startswith(BUCKET_SCHEME):
            return BucketObject(self._url, task.tenant, fetcher.settings)
        return Download(fetcher.http, self._url, fetcher.settings, await fetcher.headers.read(task))

    async def _store(self, pieces: AsyncIterator[bytes]) -> None:
        await self._fetcher.blobs.put(self._key, self._confirmed(pieces))

    async def _confirmed(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield the pieces; then require the lease, before the blob becomes visible and could replace another's."""
        async for piece in pieces:
            yield piece
        await self._fetcher.leases.confirm(self._task)


async def _facts(pieces: AsyncIterator[bytes], consume: Callable[[AsyncIterator[bytes]], Awaitable[None]]) -> Fetched:
    """Check that the source starts like audio, then consume the pieces and return their facts."""
    head = await read_head(pieces, needs_more)
    container = _container(head[:HEAD_BYTES])
    measured = MeasuredStream(head, pieces)
    await consume(measured.pieces())
    return Fetched(container=container, bytes=measured.bytes, sha256=measured.sha256)


def _container(head: bytes) -> str:
    if not head:
        raise PermanentError(FailureCode.EMPTY_AUDIO, "The `audio_url` returned no bytes.")
    if container := sniff_container(head):
        return container
    message = f"The `audio_url` did not return audio. Accepted are {ACCEPTED}."
    raise PermanentError(FailureCode.UNSUPPORTED_MEDIA, message)


async def _read_through(pieces: AsyncIterator[bytes]) -> None:
    async for _ in pieces:
        pass
