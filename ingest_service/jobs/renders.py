"""Renders transcripts as text without delaying uploads: in processes of their own, few at a time.

In a thread, a render of a day of speech would hold the interpreter for seconds while uploads wait. A tenant has one
render at a time; its next ones wait, in order. Concurrent requests for the same text share one render, and later ones
get it from a cache of bounded size. The key names the stored content and the edits: other ones are rendered again.
"""

import asyncio
import re
from collections import Counter, OrderedDict, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from ingest_service.errors import LimitError
from ingest_service.formats.render import Order, Overlay, Wanted, render_json
from ingest_service.jobs.render_process import run_render
from ingest_service.openai_api.answers import Answer
from shared.blobs.blob_facts import BlobVersion
from shared.blobs.blob_store import BlobStore
from shared.formats.style import PLAIN, Style
from shared.run_beside import run_beside
from shared.subtitles.cue_size import CueSize
from shared.telemetry.logs import Log
from shared.unspaced import UNSPACED

log = Log(__name__)

INLINE_BYTES = 16 << 10  # of JSON: a minute of speech, rendered in 3 ms; a process takes 100 ms
INLINE_ANSWER_BYTES = 128 << 10  # for an answer without cues: eight minutes, in as much time
IS_UNSPACED = re.compile(f"[{UNSPACED}]")  # scripts whose dictionaries take hundreds of milliseconds to load
WAITING_OF_TENANT = 16  # different renders of a tenant that may wait or run
RETRY_S = 5
RENDER_TIMEOUT_S = 180.0
CACHED_S = 300.0  # so that the text of an erased job does not stay


class RenderKey(NamedTuple):
    """What a text depends on: the stored content and the parameters."""

    blob: BlobVersion
    job_id: str
    wanted: Wanted
    size: CueSize
    edits: str = ""  # what identifies the edits of the job
    style: Style = PLAIN

    def order(self, overlay: Overlay | None) -> Order:
        """Return what the render is to do."""
        return Order(wanted=self.wanted, job_id=self.job_id, size=self.size, style=self.style, overlay=overlay)


class _Render(NamedTuple):
    """A key with what it stands for."""

    key: RenderKey
    overlay: Overlay | None


class Renders:
    """The renders of one process."""

    def __init__(self, blobs: BlobStore, *, at_once: int, cache_bytes: int) -> None:
        self.started = 0  # processes
        self.cache = TextCache(cache_bytes)
        self._blobs = blobs
        self._slots = asyncio.Semaphore(at_once)
        self._of_tenant: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(1))
        self._waiting: Counter[str] = Counter()
        self._tasks: dict[RenderKey, asyncio.Task[bytes]] = {}

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, blobs: BlobStore, stopping: asyncio.Event, *, at_once: int, cache_bytes: int
    ) -> AsyncIterator["Renders"]:
        """Lend an object. When `stopping` is set and at the end of the block, end its processes."""
        renders = cls(blobs, at_once=at_once, cache_bytes=cache_bytes)
        try:
            async with run_beside(renders._end_all_when(stopping)):
                yield renders
        finally:
            await renders._end_all()

    async def _end_all_when(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        await self._end_all()

    async def _end_all(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def get(self, tenant: str, key: RenderKey, overlay: Overlay | None = None) -> bytes:
        """Return the text, with the edits that the key names. Raise LimitError `too_many_renders`, BlobStoreError."""
        is_answer = isinstance(key.wanted, Answer)
        if key.blob.size <= (INLINE_ANSWER_BYTES if is_answer else INLINE_BYTES):
            stored = await self._blobs.get(key.blob.key)
            if is_answer or not IS_UNSPACED.search(stored.decode()):
                return render_json(stored, key.order(overlay))
        if (cached := self.cache.find(key)) is not None:
            return cached
        if (task := self._tasks.get(key)) is None:
            task = self._start(tenant, _Render(key, overlay))
        await asyncio.wait([task])  # a cancelled request does not cancel it: others may wait for it
        if task.cancelled():
            raise LimitError("too_many_renders", "The service stops. Try again.", RETRY_S)
        return task.result()

    async def get_in_turn(self, tenant: str, key: RenderKey) -> bytes:
        """Return the text, however many of the tenant's renders wait. For requests that wait for a job already."""
        while True:
            try:
                return await self.get(tenant, key)
            except LimitError:
                if not self._tasks:  # the service stops
                    raise
                await asyncio.wait(self._tasks.values(), return_when=asyncio.FIRST_COMPLETED)

    def _start(self, tenant: str, wanted: _Render) -> asyncio.Task[bytes]:
        if self._waiting[tenant] >= WAITING_OF_TENANT:
            log.warning("too_many_renders", tenant=tenant, at_most=WAITING_OF_TENANT)
            detail = f"At most {WAITING_OF_TENANT} different renders of long transcripts may wait."
            raise LimitError("too_many_renders", detail, RETRY_S)
        self._waiting[tenant] += 1
        task = self._tasks[wanted.key] = asyncio.create_task(self._render(tenant, wanted))
        task.add_done_callback(lambda ended: self._end(tenant, wanted.key, ended))
        return task

    def _end(self, tenant: str, key: RenderKey, ended: asyncio.Task[bytes]) -> None:
        del self._tasks[key]
        self._waiting[tenant] -= 1
        if not self._waiting[tenant]:
            del self._waiting[tenant], self._of_tenant[tenant]
        if not ended.cancelled() and ended.exception() is None:
            self.cache.keep(key, ended.result())

    async def _render(self, tenant: str, wanted: _Render) -> bytes:
        async with self._of_tenant[tenant], self._slots, asyncio.timeout(RENDER_TIMEOUT_S):
            self.started += 1
            return await run_render(self._blobs, wanted.key.blob, wanted.key.order(wanted.overlay))


class TextCache:
    """The texts that were used last, up to a number of bytes, each for at most CACHED_S."""

    def __init__(self, max_bytes: int) -> None:
        self.bytes = 0
        self._max_bytes = max_bytes
        self._texts: OrderedDict[RenderKey, bytes] = OrderedDict()

    def find(self, key: RenderKey) -> bytes | None:
        """Return a text, if it is kept."""
        if key in self._texts:
            self._texts.move_to_end(key)
        return self._texts.get(key)

    def keep(self, key: RenderKey, text: bytes) -> None:
        """Keep a text that is not kept, and forget the oldest ones."""
        self._texts[key] = text
        self.bytes += len(text)
        while self.bytes > self._max_bytes:
            self._forget(next(iter(self._texts)))
        if self._texts:
            asyncio.get_running_loop().call_later(CACHED_S, self._forget, key)

    def _forget(self, key: RenderKey) -> None:
        self.bytes -= len(self._texts.pop(key, b""))
