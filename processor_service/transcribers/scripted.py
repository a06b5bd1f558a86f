"""A transcriber for tests of everything around it: one word a second, no model, the same every time.

Its model is a folder, or none. There it notes every call, and what is to befall it only once; see misfortunes.
"""

import collections
import hashlib
import itertools
import os
import resource
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np

from processor_service.compute.messages import REPLIES_FD, Progress, frame
from processor_service.transcribers.transcriber import SAMPLE_RATE_HZ, FloatArray, Span, word
from shared.schemas.options import JobOptions
from shared.schemas.transcript import Segment, Transcript

# What befalls the scripted transcriber when the prompt says so, for tests of what a broken child can do to others.
#
# CRASH, OOM, HANG, SPIN, FLOOD (a file), CHATTER (replies), GARBAGE (no replies), ERROR. Each may be followed by ONCE
# and a name, under which it befalls only the first to come. SLOW is followed by seconds; SPAWN starts a process and
# then does what follows it.

MEBIBYTE = 1 << 20


def befall(prompt: str | None, folder: Path | None) -> None:
    """Do what the prompt says; any other prompt is none. `folder` remembers what happened once."""
    match (prompt or "").split():
        case ["SPAWN", *rest]:
            subprocess.Popen(["sleep", "3600"])  # noqa: S607 - a test's
            befall(" ".join(rest), folder)
        case ["SLOW", seconds]:
            _wait(float(seconds))
        case [misfortune, "ONCE", name] if misfortune in MISFORTUNES:
            if _is_first(name, folder):
                MISFORTUNES[misfortune]()
        case [misfortune] if misfortune in MISFORTUNES:
            MISFORTUNES[misfortune]()


def _is_first(name: str, folder: Path | None) -> bool:
    if folder is None:
        raise ValueError("ONCE needs HEADRACE_MODEL to be a folder")
    try:
        (folder / f"{name}.happened").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _wait(seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, 0.05))


def _crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _use_up_memory() -> None:
    _must_be_limited(resource.RLIMIT_DATA)
    hoard = []
    while True:
        hoard.append(b"x" * (16 * MEBIBYTE))


def _hang() -> None:
    """Without using the CPU, as in a deadlock."""
    _wait(float("inf"))


def _spin() -> None:
    """In C, as a decoder's endless loop: no Python code runs, no handler of a signal."""
    collections.deque(itertools.repeat(None), maxlen=0)


def _fill_the_disk() -> None:
    _must_be_limited(resource.RLIMIT_FSIZE)
    with tempfile.NamedTemporaryFile() as file:
        while True:
            file.write(b"x" * MEBIBYTE)


def _chatter() -> None:
    while True:
        os.write(REPLIES_FD, frame(Progress(fraction=0.5)))


def _talk_garbage() -> None:
    os.write(REPLIES_FD, b"\xde\xad\xbe\xef" * 16)


def _fail() -> None:
    raise RuntimeError("the prompt said ERROR")


def _must_be_limited(kind: int) -> None:
    """A test may break a child, never the machine."""
    if resource.getrlimit(kind)[0] == resource.RLIM_INFINITY:
        raise RuntimeError("this process has no limit to run into")


MISFORTUNES: dict[str, Callable[[], None]] = {
    "CRASH": _crash,
    "OOM": _use_up_memory,
    "HANG": _hang,
    "SPIN": _spin,
    "FLOOD": _fill_the_disk,
    "CHATTER": _chatter,
    "GARBAGE": _talk_garbage,
    "ERROR": _fail,
}


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
