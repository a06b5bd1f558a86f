"""No local engine: for processors that leave all transcription to remote engines. Loads no model."""

from collections.abc import Sequence
from pathlib import Path

from processor_service.transcribers.engines import NO_ENGINE
from processor_service.transcribers.transcriber import FloatArray, OnProgress, Span
from shared.schemas.options import JobOptions
from shared.schemas.transcript import Transcript


class NoEngine:
    """A transcriber that is loaded and never called."""

    engine = NO_ENGINE
    model = NO_ENGINE
    wants_speech_only = True  # the child process finds speech for the remote engines

    def __init__(self, model_path: Path, device: str) -> None:
        """Accept the arguments of every engine."""

    def warm_up(self) -> None:
        """Do nothing."""

    def transcribe(
        self,
        audio: FloatArray,
        windows: Sequence[Span],
        options: JobOptions,
        *,
        threads: int,
        on_progress: OnProgress,
    ) -> Transcript:
        """See Transcriber."""
        raise NotImplementedError
