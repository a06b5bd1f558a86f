"""What a stage works with: its task, a warm child, the blob store and a scratch folder of its own."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from processor_service.compute.child_process import OnReply, R
from processor_service.compute.messages import Progress, Reply, Request
from processor_service.compute.pool import Slot
from processor_service.compute.resource_limits import Patience
from processor_service.errors import PermanentError
from processor_service.models.cache import ModelCache, ModelError, locate
from processor_service.providers.openai_api import OpenAIApi
from processor_service.settings import ProcessorSettings
from processor_service.tasks.leases import ClaimedTask
from processor_service.transcribers import scripted_model
from processor_service.transcribers.transcriber import NO_ENGINE
from shared.blobs.blob_store import BlobStore
from shared.schemas.failures import FailureCode


async def nothing_to_fetch() -> None:
    """The source was uploaded."""


async def nothing_to_record(_: str) -> None:
    """The source's sha256 is known."""


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of one compute task."""

    task: ClaimedTask
    slot: Slot
    blobs: BlobStore
    models: ModelCache
    settings: ProcessorSettings
    providers: tuple[OpenAIApi, ...] = ()  # remote engines, in the order in which they are asked
    scratch: Path
    fetch_source: Callable[[], Awaitable[None]] = nothing_to_fetch  # has the source stored
    record_sha256: Callable[[str], Awaitable[None]] = nothing_to_record  # of a source that came past the ingest
    report_progress: Callable[[float], None]
    report_stage: Callable[[str], Awaitable[None]]

    async def ask(
        self,
        request: Request,
        expected: type[R],
        *,
        patience: Patience,
        span: tuple[float, float] = (0, 1),
        on_reply: OnReply | None = None,
    ) -> R:
        """Have the child do something; its progress is shown as the `span` of this task's."""

        async def heard(reply: Reply) -> None:
            if isinstance(reply, Progress):
                self.report_progress(span[0] + reply.fraction * (span[1] - span[0]))
            elif on_reply is not None:
                await on_reply(reply)

        return await self.slot.ask(request, expected, patience=patience, on_reply=heard)

    async def local_file(self, key: str, name: str) -> Path:
        """A blob as a file on this machine: the store's own when it is local, else a copy in the scratch folder."""
        if path := self.blobs.local_path(key):
            await self.blobs.size(key)  # raises when it is missing
            return path
        path = self.scratch / name
        await self.blobs.download(key, path)
        return path

    def model_path(self) -> Path:
        """The checkpoint of the job's model, or of the service's."""
        if self.settings.transcriber == "scripted":
            return Path(scripted_model(self.settings.model))
        name = self.task.options.model or self.settings.model
        if self.settings.transcriber == NO_ENGINE:
            message = f"The model {name!r} is not available on this service, which has no engine of its own."
            raise PermanentError(FailureCode.MODEL_UNAVAILABLE, message)
        if name == self.settings.model:
            # Verified when the worker started; here only located.
            return self.models.find(name) or Path(name)
        try:
            return locate(name, self.models)
        except ModelError as error:
            message = f"The model {name!r} is not available on this service."
            raise PermanentError(FailureCode.MODEL_UNAVAILABLE, message) from error
