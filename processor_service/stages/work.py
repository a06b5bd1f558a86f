"""What a stage works with: its task, a warm child, the blob store and a scratch folder."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec

from processor_service.audio.scratch_files import WriteLimits
from processor_service.audio.write_chunks import PreparedAudio
from processor_service.compute.child_process import OnReply, R
from processor_service.compute.messages import Progress, Reply, Request
from processor_service.compute.pool import Slot
from processor_service.compute.resource_limits import TimeLimit
from processor_service.errors import PermanentError, too_much_audio
from processor_service.models.cache import ModelCache, ModelError
from processor_service.providers.openai_api import OpenAIApi
from processor_service.settings import ProcessorSettings
from processor_service.stages.derived_bytes import DerivedBytes, budget_bytes, stored_bytes
from processor_service.stages.passages import Passage
from processor_service.stages.voice_store import VoiceStore
from processor_service.tasks.claim import ClaimedTask
from processor_service.transcribers.engines import NO_ENGINE, find_model, needs_weights
from shared.blobs import blob_keys
from shared.blobs.blob_store import BlobStore
from shared.schemas.failures import FailureCode
from shared.schemas.windows import Window


async def nothing_to_record(_: str) -> None:
    """Do nothing: the source's SHA-256 is known."""


def no_window_to_publish(_: Window) -> None:
    """Do nothing: no client streams the job's text."""


async def no_passages_to_record(_: Sequence[Passage]) -> None:
    """Do nothing: the job is not searchable."""


async def no_audio_to_record(_: PreparedAudio) -> None:
    """Do nothing: another task recorded the facts of the audio."""


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of a compute task."""

    task: ClaimedTask
    slot: Slot
    blobs: BlobStore
    models: ModelCache
    settings: ProcessorSettings
    providers: tuple[OpenAIApi, ...] = ()  # in the order in which they are asked
    voices: VoiceStore | None = None  # of the task's tenant
    scratch: Path
    derived: DerivedBytes = msgspec.field(default_factory=DerivedBytes)
    record_sha256: Callable[[str], Awaitable[None]] = nothing_to_record  # of a direct upload to the bucket
    record_audio: Callable[[PreparedAudio], Awaitable[None]] = no_audio_to_record
    record_passages: Callable[[Sequence[Passage]], Awaitable[None]] = no_passages_to_record
    publish_window: Callable[[Window], None] = no_window_to_publish
    report_progress: Callable[[float], None]

    async def ask(
        self,
        request: Request,
        expected: type[R],
        *,
        time_limit: TimeLimit,
        span: tuple[float, float] | None = (0, 1),
        on_reply: OnReply | None = None,
    ) -> R:
        """Send a request to the child within the budget; report its progress as the `span` of the task's progress."""

        async def on_any_reply(reply: Reply) -> None:
            if isinstance(reply, Progress):
                if span is not None:
                    self.report_progress(span[0] + reply.fraction * (span[1] - span[0]))
            elif on_reply is not None:
                await on_reply(reply)

        writes = WriteLimits(most_bytes=self.derived.left_bytes, min_free_bytes=self.settings.min_free_bytes)
        try:
            return await self.slot.ask(request, expected, time_limit=time_limit, writes=writes, on_reply=on_any_reply)
        except PermanentError as error:
            if error.code is FailureCode.TOO_MUCH_AUDIO:  # the child knows only what was left
                raise too_much_audio(self.derived.most_bytes) from error
            raise

    async def open_budget(self, *rewritten: str) -> None:
        """Open the account of a task that follows `prepare`. `rewritten` are the keys that it writes.

        Only denoised audio is large enough to look up what the other tasks of the job have stored.
        """
        task = self.task
        generations = {task.generation, task.chunk_generation} if task.options.denoise else ()
        folders = [blob_keys.derived(task.job_id, generation) for generation in generations]
        blobs = [blob for folder in folders async for page in self.blobs.walk(folder) for blob in page]
        most_bytes = budget_bytes(self.settings, task.source_bytes or 0)
        self.derived.open(most_bytes, spent_bytes=stored_bytes(blobs, rewritten=rewritten))

    async def put(self, key: str, data: bytes | Path) -> None:
        """Store a derived blob. Raise AudioError beyond the budget, BlobStoreFullError at the disk's reserve."""
        size = len(data) if isinstance(data, bytes) else data.stat().st_size  # noqa: ASYNC240 - instant, local
        self.derived.charge(size)
        await self.blobs.put(key, data)

    async def local_file(self, key: str, name: str) -> Path:
        """Return a blob as a local file: the store's own file if it is local, else a copy in the scratch folder."""
        if path := self.blobs.local_path(key):
            await self.blobs.size(key)  # raises when the blob is missing
            return path
        path = self.scratch / name
        await self.blobs.download(key, path)
        return path

    def model_path(self) -> Path:
        """Return the checkpoint of the job's model, or of the default model. Raise PermanentError when unavailable."""
        engine, name = self.settings.transcriber, self.task.options.model or self.settings.model
        if engine == NO_ENGINE:
            message = f"The model {name!r} is not available: this server has no local engine."
            raise PermanentError(FailureCode.MODEL_UNAVAILABLE, message)
        if not needs_weights(engine):
            return find_model(engine, self.settings.model, self.models)
        if name == self.settings.model:
            # The worker verified it at start.
            return self.models.find(name) or Path(name)
        try:
            return self.models.verify(name)  # never a path: a client names a model of the cache
        except ModelError as error:
            message = f"The model {name!r} is not available on this server."
            raise PermanentError(FailureCode.MODEL_UNAVAILABLE, message) from error
