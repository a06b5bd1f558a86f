"""No engine of our own: for processors whose transcribing is all done by remote ones. Loads no model."""

from collections.abc import Callable, Sequence

from processor_service.transcribers.transcriber import FloatArray, Span
from shared.schemas.options import JobOptions
from shared.schemas.transcript import Transcript

NO_ENGINE = "none"


class NoEngine:
    """Is warm, and never asked."""

    engine = NO_ENGINE
    model = NO_ENGINE
    wants_speech_only = True  # the child finds speech for the remote engines

    def warm_up(self) -> None:
        """Nothing to warm."""

    def transcribe(
        self,
        audio: FloatArray,
        windows: Sequence[Span],
        options: JobOptions,
        *,
        threads: int,
        on_progress: Callable[[float], None],
    ) -> Transcript:
        """See Transcriber."""
        raise NotImplementedError
