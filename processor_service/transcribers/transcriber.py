"""What every transcriber does, and how transcripts move in time."""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from shared.schemas.options import JobOptions
from shared.schemas.transcript import Segment, Transcript, Word

Span = tuple[float, float]  # start and end in seconds
FloatArray = npt.NDArray[np.float32]
SAMPLE_RATE_HZ = 16_000


class Transcriber(Protocol):
    """An engine with its model loaded."""

    engine: str
    model: str
    wants_speech_only: bool  # silences are not shown to it; otherwise the whole of a chunk is, in one piece

    def warm_up(self) -> None:
        """Run once on a little sound, so that the first task finds every kernel compiled."""

    def transcribe(
        self,
        audio: FloatArray,
        windows: Sequence[Span],
        options: JobOptions,
        *,
        threads: int,
        on_progress: Callable[[float], None],
    ) -> Transcript:
        """Transcribe the windows of 16 kHz mono samples in [-1, 1].

        Windows are seconds, rising, apart from one another, of at most 30 s each. Times of the transcript are seconds
        from the first sample, rising, within the audio. `threads` bounds the cores used; progress is told from 0 to 1.
        """


def shifted(transcript: Transcript, offset_s: float) -> Transcript:
    """The same transcript, `offset_s` later."""
    if offset_s == 0:
        return transcript
    segments = tuple(_shifted_segment(segment, offset_s) for segment in transcript.segments)
    return msgspec.structs.replace(transcript, segments=segments)


def _shifted_segment(segment: Segment, offset_s: float) -> Segment:
    words = tuple(
        msgspec.structs.replace(word, start=_later(word.start, offset_s), end=_later(word.end, offset_s))
        for word in segment.words
    )
    return msgspec.structs.replace(
        segment, start=_later(segment.start, offset_s), end=_later(segment.end, offset_s), words=words
    )


def _later(time_s: float, offset_s: float) -> float:
    return round(time_s + offset_s, 3)


def word(text: str, start_s: float, end_s: float, confidence: float) -> Word:
    """A word with times to the millisecond."""
    return Word(word=text, start=round(start_s, 3), end=round(end_s, 3), confidence=round(confidence, 4))


# No engine of our own: for processors whose transcribing is all done by remote ones. Loads no model.

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
