"""Fetches the source of a job with an `audio_url` into the blob store and records its facts: the start of `prepare`.

A completely stored source is never fetched again, not by another attempt nor after a redrive. Logs contain only the
host of the URL.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import msgspec
from yarl import URL

from processor_service.errors import PermanentError, SourceChangedError, source_unavailable
from processor_service.settings import ProcessorSettings
from processor_service.sources.download import Download
from processor_service.tasks.leases import ClaimedTask, FetchedSource, Leases
from shared.blobs import blob_keys
from shared.blobs.blob_errors import BlobNotFoundError
from shared.blobs.blob_store import BlobStore
from shared.blobs.measured_stream import MeasuredStream, read_head
from shared.media.sniff_container import ACCEPTED, HEAD_BYTES, needs_more, sniff_container
from shared.schemas.failures import FailureCode
from shared.telemetry.logs import Log

log = Log(__name__)

MAX_STARTS = 3  # from the first byte


class SourceFetcher(msgspec.Struct, frozen=True, kw_only=True):
    """Fetches all sources of a process."""

    http: aiohttp.ClientSession
    blobs: BlobStore
    leases: Leases
    settings: ProcessorSettings

    async def fetch(self, task: ClaimedTask) -> None:
        """Do nothing for an upload or a source that was recorded before. Raises TaskError, or BlobStoreError."""
        if task.source_url is None:
            return
        source = _Fetch(self, task, task.source_url)
        facts = await source.stored() or await source.fetched()
        await self.leases.record_source(task, facts)
        log.info("source_fetched", container=facts.container, bytes=facts.bytes)


class _Fetch:
    """The source of one task."""

    def __init__(self, fetcher: SourceFetcher, task: ClaimedTask, url: str) -> None:
        self._fetcher = fetcher
        self._task = task
        self._url = url
        self._key = blob_keys.source(task.job_id)

    async def stored(self) -> FetchedSource | None:
        """Return the facts of a stored source; None if there is none. A lost worker stored it and did not record it."""
        blobs = self._fetcher.blobs
        try:
            size = await blobs.size(self._key)
        except BlobNotFoundError:
            return None
        pieces = blobs.read(self._key, 0, size)
        return await _facts(pieces, _read_through)

    async def fetched(self) -> FetchedSource:
        """Fetch and store the source; return its facts."""
        timeout_s = self._fetcher.settings.fetch_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                return await self._start_until_whole()
        except TimeoutError:
            raise source_unavailable(f"took longer than {timeout_s:.0f} s to send the source") from None

    async def _start_until_whole(self) -> FetchedSource:
        reason = ""
        for _ in range(MAX_STARTS):
            try:
                return await self._once()
            except SourceChangedError as error:
                reason = str(error)
                log.warning("source_download_restarted", host=URL(self._url).host, reason=reason)
        raise source_unavailable(reason)

    async def _once(self) -> FetchedSource:
        download = Download(self._fetcher.http, self._url, self._fetcher.settings)
        try:
            return await _facts(download.pieces(), self._store)
        finally:
            download.close()  # a cancelled put leaves its stream open, waiting for the server

    async def _store(self, pieces: AsyncIterator[bytes]) -> None:
        await self._fetcher.blobs.put(self._key, self._confirmed(pieces))

    async def _confirmed(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield the pieces; then require the lease, before the blob becomes visible and could replace another's."""
        async for piece in pieces:
            yield piece
        await self._fetcher.leases.confirm(self._task)


async def _facts(
    pieces: AsyncIterator[bytes], consume: Callable[[AsyncIterator[bytes]], Awaitable[None]]
) -> FetchedSource:
    """Check that the source starts like audio, then consume the pieces and return their facts."""
    head = await read_head(pieces, needs_more)
    container = _container(head[:HEAD_BYTES])
    measured = MeasuredStream(head, pieces)
    await consume(measured.pieces())
    return FetchedSource(container=container, bytes=measured.bytes, sha256=measured.sha256)


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
