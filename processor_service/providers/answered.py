"""What a remote engine understood, in the form of a transcriber: all that follows is as with an engine of our own."""

from collections.abc import Callable, Sequence

from processor_service.transcribers.transcriber import SAMPLE_RATE_HZ, FloatArray, Span
from shared.schemas.options import JobOptions
from shared.schemas.transcript import Transcript


class Answered:
    """Hands out the transcripts of a chunk's channels, one after the other; asked again, it has no more to say."""

    wants_speech_only = True

    def __init__(self, heard: Sequence[Transcript]) -> None:
        self.engine, self.model = heard[0].engine, heard[0].model
        self._heard = iter(heard)
        self._audio: FloatArray | None = None  # that was told of last

    def warm_up(self) -> None:
        """Nothing to warm."""

    def transcribe(
        self,
        audio: FloatArray,
        windows: Sequence[Span],  # noqa: ARG002 - Protocol
        options: JobOptions,  # noqa: ARG002 - Protocol
        *,
        threads: int,  # noqa: ARG002 - Protocol
        on_progress: Callable[[float], None],
    ) -> Transcript:
        """See Transcriber."""
        on_progress(1.0)
        if audio is self._audio:
            return Transcript(text="", language=None, duration=len(audio) / SAMPLE_RATE_HZ, segments=())
        self._audio = audio
        return next(self._heard)
