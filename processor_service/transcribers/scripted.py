"""A transcriber for tests of everything around it: one word a second, no model, the same every time.

Its model is a folder, or none. There it notes every call, and what is to befall it only once; see misfortunes.
"""

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np

from processor_service.transcribers.misfortunes import befall
from processor_service.transcribers.transcriber import SAMPLE_RATE_HZ, FloatArray, Span, word
from shared.schemas.options import JobOptions
from shared.schemas.transcript import Segment, Transcript

SEGMENT_S = 10
CALLS = "calls.jsonl"


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the file of calls. `sha256` is of the samples as 16-bit integers."""

    pid: int
    duration_s: float
    sha256: str
    called_at: float  # seconds since 1970


class Scripted:
    """Says "tick" for every full second of audio."""

    engine = "scripted"
    model = "scripted"
    wants_speech_only = False

    def __init__(self, model_path: Path = Path()) -> None:
        self._folder = model_path if model_path.is_absolute() and model_path.is_dir() else None

    def warm_up(self) -> None:
        """Nothing to warm."""

    def transcribe(
        self,
        audio: FloatArray,
        windows: Sequence[Span],  # noqa: ARG002 - Protocol
        options: JobOptions,
        *,
        threads: int,  # noqa: ARG002 - Protocol
        on_progress: Callable[[float], None],  # noqa: ARG002 - Protocol
    ) -> Transcript:
        duration_s = len(audio) / SAMPLE_RATE_HZ
        self._note(audio, duration_s)
        befall(options.prompt, self._folder)
        seconds = range(int(duration_s))
        starts = seconds[::SEGMENT_S]
        segments = tuple(
            _segment(number, list(seconds[start : start + SEGMENT_S])) for number, start in enumerate(starts)
        )
        return Transcript(
            text=" ".join(segment.text for segment in segments),
            language=options.language or "en",
            duration=duration_s,
            segments=segments,
            engine=self.engine,
            model=self.model,
        )

    def _note(self, audio: FloatArray, duration_s: float) -> None:
        if self._folder is None:
            return
        samples = np.rint(np.clip(audio, -1, 1) * 32767).astype("<i2")
        digest = hashlib.sha256(samples.tobytes()).hexdigest()
        call = Call(pid=os.getpid(), duration_s=duration_s, sha256=digest, called_at=time.time())
        with (self._folder / CALLS).open("ab", buffering=0) as calls:  # O_APPEND: lines of several never mix
            calls.write(msgspec.json.encode(call) + b"\n")


def _segment(number: int, seconds: list[int]) -> Segment:
    words = tuple(word("tick", second, second + 0.5, 1.0) for second in seconds)
    return Segment(
        id=number,
        start=words[0].start,
        end=words[-1].end,
        text=" ".join(one.word for one in words),
        confidence=1.0,
        no_speech_prob=0.0,
        words=words,
    )
