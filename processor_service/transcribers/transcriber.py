"""The interface of all transcribers, and shifting of transcripts in time."""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from shared.schemas.options import JobOptions
from shared.schemas.transcript import ResultWarning, Segment, Transcript, Word

Span = tuple[float, float]  # start and end in seconds
FloatArray = npt.NDArray[np.float32]
OnProgress = Callable[[float, Sequence[Segment]], None]  # see Transcriber.transcribe
SAMPLE_RATE_HZ = 16_000


class Transcriber(Protocol):
    """An engine with its model loaded."""

    engine: str
    model: str
    wants_speech_only: bool  # it gets windows of speech; otherwise the whole chunk in one window

    def warm_up(self) -> None:
        """Run once on short audio, so that all kernels are compiled before the first task."""

    def transcribe(
        self,
        audio: FloatArray,
        windows: Sequence[Span],
        options: JobOptions,
        *,
        threads: int,
        on_progress: OnProgress,
    ) -> Transcript:
        """Transcribe the windows of 16 kHz mono samples in [-1, 1].

        Windows are in seconds, in order and at most 30 s long; they overlap only where they divide speech. Times of
        the transcript are seconds from the first sample, in order, within the audio. `threads` limits the cores used;
        `on_progress` gets numbers from 0 to 1. With the option `stream_windows`, it also gets the segments that are
        final before the end: each once, in order.
        """


def shifted(transcript: Transcript, offset_s: float) -> Transcript:
    """The transcript with all times moved by `offset_s`."""
    if offset_s == 0:
        return transcript
    segments = tuple(shifted_segment(segment, offset_s) for segment in transcript.segments)
    warnings = tuple(_shifted_warning(warning, offset_s) for warning in transcript.warnings)
    return msgspec.structs.replace(transcript, segments=segments, warnings=warnings)


def _shifted_warning(warning: ResultWarning, offset_s: float) -> ResultWarning:
    start = None if warning.start is None else _moved(warning.start, offset_s)
    end = None if warning.end is None else _moved(warning.end, offset_s)
    return msgspec.structs.replace(warning, start=start, end=end)


def shifted_segment(segment: Segment, offset_s: float) -> Segment:
    """The segment with all times moved by `offset_s`."""
    words = tuple(
        msgspec.structs.replace(word, start=_moved(word.start, offset_s), end=_moved(word.end, offset_s))
        for word in segment.words
    )
    return msgspec.structs.replace(
        segment, start=_moved(segment.start, offset_s), end=_moved(segment.end, offset_s), words=words
    )


def _moved(time_s: float, offset_s: float) -> float:
    return round(time_s + offset_s, 3)


def word(text: str, start_s: float, end_s: float, confidence: float) -> Word:
    """A word with times rounded to milliseconds."""
    return Word(word=text, start=round(start_s, 3), end=round(end_s, 3), confidence=round(confidence, 4))
