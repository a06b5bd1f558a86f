"""Fetches the source of a job that named a URL into the blob store, and records what it is: how `prepare` begins.

What is stored whole is not fetched again, not by a second attempt nor after a redrive. Logs name the host only.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import msgspec
from yarl import URL

from processor_service.errors import PermanentError, SourceChangedError, unavailable
from processor_service.settings import ProcessorSettings
from processor_service.sources.download import Download
from processor_service.tasks.leases import ClaimedTask, Leases, SourceFacts
from shared.blobs import blob_keys
from shared.blobs.blob_errors import BlobNotFoundError
from shared.blobs.blob_store import BlobStore
from shared.media.sniff_container import ACCEPTED, HEAD_BYTES, sniff_container
from shared.schemas.failures import FailureCode
from shared.telemetry.logs import Log

log = Log(__name__)

MAX_STARTS = 3


class SourceFetcher(msgspec.Struct, frozen=True, kw_only=True):
    """What fetching needs, for all sources of a process."""

    http: aiohttp.ClientSession
    blobs: BlobStore
    leases: Leases
    settings: ProcessorSettings

    async def fetch(self, task: ClaimedTask) -> None:
        """Nothing for an upload, nor for what was fetched before. Raises TaskError, or BlobStoreError."""
        if task.source_url is None:
            return
        source = _Source(self, task, task.source_url)
        facts = await source.stored() or await source.fetched()
        await self.leases.record_source(task, facts)
        log.info("source_fetched", container=facts.container, bytes=facts.bytes)


class _Source:
    """The source of one task."""

    def __init__(self, fetcher: SourceFetcher, task: ClaimedTask, url: str) -> None:
        self._with = fetcher
        self._task = task
        self._url = url
        self._key = blob_keys.source(task.job_id)

    async def stored(self) -> SourceFacts | None:
        """The facts of a source that was stored whole, by somebody who was lost before he could record them."""
        blobs = self._with.blobs
        try:
            size = await blobs.size(self._key)
        except BlobNotFoundError:
            return None
        pieces = blobs.read(self._key, 0, size)
        return await _facts(pieces, _read_through)

    async def fetched(self) -> SourceFacts:
        """The facts of the source, once it is stored."""
        timeout_s = self._with.settings.fetch_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                return await self._start_until_whole()
        except TimeoutError:
            raise unavailable(f"took longer than {timeout_s:.0f} s to send the source") from None

    async def _start_until_whole(self) -> SourceFacts:
        why = ""
        for _ in range(MAX_STARTS):
            try:
                return await self._once()
            except SourceChangedError as error:
                why = str(error)
                log.warning("source_started_over", host=URL(self._url).host, why=why)
        raise unavailable(why)

    async def _once(self) -> SourceFacts:
        download = Download(self._with.http, self._url, self._with.settings)
        try:
            return await _facts(download.pieces(), self._store)
        finally:
            download.close()  # a put that was cancelled leaves its stream behind, waiting for the server

    async def _store(self, pieces: AsyncIterator[bytes]) -> None:
        await self._with.blobs.put(self._key, self._confirmed(pieces))

    async def _confirmed(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The pieces; before they end, and the blob shows, the task must still be ours: else another has stored it."""
        async for piece in pieces:
            yield piece
        await self._with.leases.confirm(self._task)


async def _facts(
    pieces: AsyncIterator[bytes], consume: Callable[[AsyncIterator[bytes]], Awaitable[None]]
) -> SourceFacts:
    """What the pieces are, told while they are consumed. What is no audio is refused before."""
    head = bytearray()
    async for piece in pieces:
        head += piece
        if len(head) >= HEAD_BYTES:
            break
    container = _container(bytes(head[:HEAD_BYTES]))
    measured = _Measured()
    await consume(measured.stream(bytes(head), pieces))
    return SourceFacts(container=container, bytes=measured.bytes, sha256=measured.sha256.hexdigest())


def _container(head: bytes) -> str:
    if not head:
        raise PermanentError(FailureCode.EMPTY_AUDIO, "What the `audio_url` leads to is empty.")
    if container := sniff_container(head):
        return container
    message = f"What the `audio_url` leads to is not audio. Accepted are {ACCEPTED}."
    raise PermanentError(FailureCode.UNSUPPORTED_MEDIA, message)


async def _read_through(pieces: AsyncIterator[bytes]) -> None:
    async for _ in pieces:
        pass


class _Measured:
    """Passes pieces through, counting and hashing them."""

    def __init__(self) -> None:
        self.bytes = 0
        self.sha256 = hashlib.sha256()

    async def stream(self, head: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        yield self._measured(head)
        async for piece in rest:
            yield self._measured(piece)

    def _measured(self, piece: bytes) -> bytes:
        self.bytes += len(piece)
        self.sha256.update(piece)
        return piece
