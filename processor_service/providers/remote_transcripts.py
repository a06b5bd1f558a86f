"""A transcriber that returns the transcripts of a remote engine, so that the later steps need not distinguish them."""

from collections.abc import Sequence

from processor_service.transcribers.transcriber import SAMPLE_RATE_HZ, FloatArray, OnProgress, Span
from shared.schemas.options import JobOptions
from shared.schemas.transcript import Transcript


class RemoteTranscripts:
    """Returns the transcripts of a chunk's channels in order, and an empty one when the same audio is given again."""

    wants_speech_only = True

    def __init__(self, transcripts: Sequence[Transcript]) -> None:
        self.engine, self.model = transcripts[0].engine, transcripts[0].model
        self._transcripts = iter(transcripts)
        self._audio: FloatArray | None = None  # of the last call

    def warm_up(self) -> None:
        """Do nothing."""

    def transcribe(
        self,
        audio: FloatArray,
        windows: Sequence[Span],  # noqa: ARG002 - Protocol
        options: JobOptions,  # noqa: ARG002 - Protocol
        *,
        threads: int,  # noqa: ARG002 - Protocol
        on_progress: OnProgress,
    ) -> Transcript:
        """See Transcriber."""
        on_progress(1.0, ())
        if audio is self._audio:
            return Transcript(text="", language=None, duration=len(audio) / SAMPLE_RATE_HZ, segments=())
        self._audio = audio
        return next(self._transcripts)
