"""How an attempt of a task ended, as values: stages return them, `settle` carries them out."""

import msgspec

from processor_service.audio.write_chunks import PreparedAudio
from shared.schemas.failures import Failure
from shared.schemas.transcript import ResultWarning


class ChunkInput(msgspec.Struct, frozen=True, kw_only=True):
    """What a chunk task must know. Frames count from the start of the source, at its own rate.

    The file holds context on both sides of the core; only the core is transcribed, and a little more where it was cut
    in speech.
    """

    file_start_frame: int
    core_start_frame: int
    core_end_frame: int
    sample_rate_hz: int
    channels: int
    starts_in_speech: bool = False
    ends_in_speech: bool = False


class Split(msgspec.Struct, frozen=True):
    """Prepare cut a long file: its chunks are to be done."""

    prepared: PreparedAudio
    chunks: tuple[ChunkInput, ...]
    warnings: tuple[ResultWarning, ...]


class ChunkDone(msgspec.Struct, frozen=True):
    """One chunk's transcript and denoised audio are stored."""


class JobDone(msgspec.Struct, frozen=True):
    """The results are stored. `prepared` is set when a short file went through under one lease."""

    warnings: tuple[ResultWarning, ...]
    prepared: PreparedAudio | None = None


class DeliveryAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one request to a webhook endpoint; concludes the row that was begun before it."""

    id: int
    duration_ms: int
    status: int | None = None
    error: str | None = None
    answer: str | None = None


class Delivered(msgspec.Struct, frozen=True):
    """The webhook endpoint answered 2xx."""

    attempt: DeliveryAttempt


class NotDelivered(msgspec.Struct, frozen=True):
    """It did not; the failure says whether another attempt makes sense."""

    attempt: DeliveryAttempt
    failure: Failure


class Postponed(msgspec.Struct, frozen=True):
    """Nothing was attempted: the endpoint's share of the deliveries is taken. The task makes room for a while."""

    wait_s: float


class Failed(msgspec.Struct, frozen=True):
    """The attempt failed; whether another follows is decided by `retry`."""

    failure: Failure


class Crashed(msgspec.Struct, frozen=True):
    """The child process died under the task."""

    message: str


class Interrupted(msgspec.Struct, frozen=True):
    """The worker is stopping: not an attempt, the task is handed back."""


class LeaseLost(msgspec.Struct, frozen=True):
    """The task is no longer ours: nothing may be written."""


Delivery = Delivered | NotDelivered | Postponed
Outcome = Split | ChunkDone | JobDone | Delivery | Failed | Crashed | Interrupted | LeaseLost
