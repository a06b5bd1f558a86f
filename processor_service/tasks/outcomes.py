"""The outcomes of an attempt, as values: stages return them, `settle` carries them out."""

from uuid import UUID

import msgspec

from processor_service.audio.write_chunks import ChunkFile
from shared.schemas.failures import Failure
from shared.schemas.transcript import ResultWarning


class ChunkInput(msgspec.Struct, frozen=True, kw_only=True):
    """The input of a chunk task: a ChunkFile without its place on a machine. Frames count from the start of the source.

    The file contains context on both sides of the core. Only the core is transcribed, and a few seconds more where it
    was cut in speech.
    """

    file_start_frame: int
    core_start_frame: int
    core_end_frame: int
    sample_rate_hz: int
    channels: int
    starts_in_speech: bool = False
    ends_in_speech: bool = False

    @classmethod
    def of(cls, chunk: ChunkFile) -> "ChunkInput":
        return msgspec.convert(chunk, cls, from_attributes=True)

    def file_at(self, path: str, ordinal: int) -> ChunkFile:
        return ChunkFile(path=path, ordinal=ordinal, **msgspec.structs.asdict(self))


class Fetched(msgspec.Struct, frozen=True):
    """The source of an `audio_url` is stored. The task returns to the queue, for a compute slot."""

    container: str
    bytes: int
    sha256: str


class Split(msgspec.Struct, frozen=True):
    """Prepare cut a long file; its chunks become tasks."""

    duration_s: float
    chunks: tuple[ChunkInput, ...]
    warnings: tuple[ResultWarning, ...]


class ChunkDone(msgspec.Struct, frozen=True):
    """The transcript and the denoised audio of one chunk are stored. `engine` is empty if nothing was transcribed."""

    engine: str = ""
    model: str = ""


class JobDone(msgspec.Struct, frozen=True):
    """The results are stored. `engine` is empty if the task only merged or labelled what others transcribed."""

    warnings: tuple[ResultWarning, ...]
    engine: str = ""
    model: str = ""
    speakers: int = 0  # that the transcript names
    made: tuple[str, ...] = ()  # by chat providers: `summary`, `chapters`, `action_items`


class Transcribed(msgspec.Struct, frozen=True):
    """The results are stored, and chat providers are to be asked about the text: `done` is the end without them."""

    done: JobDone


class EndpointHealth(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt says about a tenant's endpoint. One that fails for `pause_after_s`, or is gone, is paused."""

    id: UUID
    is_delivered: bool
    is_gone: bool
    pause_after_s: float
    reason: str | None


class DeliveryAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one request to a webhook endpoint. It completes the row that was inserted before the request."""

    id: int
    duration_ms: int
    status: int | None = None
    error: str | None = None
    answer: str | None = None
    endpoint: EndpointHealth | None = None


class Delivered(msgspec.Struct, frozen=True):
    """The webhook endpoint answered 2xx."""

    attempt: DeliveryAttempt


class NotDelivered(msgspec.Struct, frozen=True):
    """The event was not delivered; `failure` says whether another attempt makes sense."""

    attempt: DeliveryAttempt
    failure: Failure


class Postponed(msgspec.Struct, frozen=True):
    """Nothing was attempted: the host, or the tenant, has its share of the requests. The task waits without a slot."""

    wait_s: float


class Dropped(msgspec.Struct, frozen=True):
    """Nothing was attempted: the tenant has deleted or disabled the endpoint since the job ended."""


class StorageFull(msgspec.Struct, frozen=True):
    """A disk has only its reserve left. This does not count as an attempt; the task frees its slot and waits."""

    failure: Failure


class Failed(msgspec.Struct, frozen=True):
    """The attempt failed; `retry` decides whether another one follows."""

    failure: Failure


class Crashed(msgspec.Struct, frozen=True):
    """The child process died during the task."""

    message: str


class Interrupted(msgspec.Struct, frozen=True):
    """The worker stops. This does not count as an attempt; the task returns to the queue."""


class LeaseLost(msgspec.Struct, frozen=True):
    """The lease is lost: nothing may be written."""


Delivery = Delivered | NotDelivered | Postponed | Dropped
Progressed = Fetched | Split | ChunkDone | Transcribed
Outcome = Progressed | JobDone | Delivery | StorageFull | Failed | Crashed | Interrupted | LeaseLost
