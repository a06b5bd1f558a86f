"""The scripted engine, for tests of the code around it: one word a second, without a model, always the same.

The prompt can inject a fault, to test what a broken child process does to others: CRASH, OOM, HANG, SPIN, FLOOD
(a file), CHATTER (replies), GARBAGE (invalid replies), ERROR. `ONCE name` after one of them injects it only the first
time, `UNLESS name` only while HEADRACE_MODEL has no file of that name. `SLOW seconds` delays the transcript. `SPAWN`
starts a process before the rest of the prompt. HEADRACE_MODEL may name a folder, in which the engine records its calls
and the faults of ONCE.
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
from processor_service.transcribers.transcriber import SAMPLE_RATE_HZ, FloatArray, OnProgress, Span, word
from shared.schemas.options import JobOptions
from shared.schemas.transcript import Segment, Transcript
from shared.unspaced import joined_text

MEBIBYTE = 1 << 20


def inject_fault(prompt: str | None, folder: Path | None) -> None:
    """Inject the fault that the prompt names, if any. `folder` records the faults of ONCE."""
    match (prompt or "").split():
        case ["SPAWN", *rest]:
            subprocess.Popen(["sleep", "3600"])  # noqa: S607 - for a test
            inject_fault(" ".join(rest), folder)
        case ["SLOW", seconds]:
            _wait(float(seconds))
        case [fault, "ONCE", name] if fault in FAULTS:
            if _is_first(name, folder):
                FAULTS[fault]()
        case [fault, "UNLESS", name] if fault in FAULTS:
            if folder is None or not (folder / name).exists():
                FAULTS[fault]()
        case [fault] if fault in FAULTS:
            FAULTS[fault]()


def _is_first(name: str, folder: Path | None) -> bool:
    if folder is None:
        raise ValueError("ONCE requires HEADRACE_MODEL to name a folder")
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


def _exhaust_memory() -> None:
    _require_limit(resource.RLIMIT_DATA)
    blocks = []
    while True:
        blocks.append(b"x" * (16 * MEBIBYTE))


def _hang() -> None:
    """Wait without using the CPU, as in a deadlock."""
    _wait(float("inf"))


def _spin() -> None:
    """Loop in C, as a decoder may: no Python code or signal handler runs."""
    collections.deque(itertools.repeat(None), maxlen=0)


def _fill_disk() -> None:
    _require_limit(resource.RLIMIT_FSIZE)
    with tempfile.NamedTemporaryFile() as file:
        while True:
            file.write(b"x" * MEBIBYTE)


def _chatter() -> None:
    while True:
        os.write(REPLIES_FD, frame(Progress(fraction=0.5)))


def _send_garbage() -> None:
    os.write(REPLIES_FD, b"\xde\xad\xbe\xef" * 16)


def _fail() -> None:
    raise RuntimeError("injected by the prompt ERROR")


def _require_limit(kind: int) -> None:
    """Refuse to run without a limit: a test may break a child process, not the machine."""
    if resource.getrlimit(kind)[0] == resource.RLIM_INFINITY:
        raise RuntimeError("the process has no resource limit")


FAULTS: dict[str, Callable[[], None]] = {
    "CRASH": _crash,
    "OOM": _exhaust_memory,
    "HANG": _hang,
    "SPIN": _spin,
    "FLOOD": _fill_disk,
    "CHATTER": _chatter,
    "GARBAGE": _send_garbage,
    "ERROR": _fail,
}


SEGMENT_S = 10
CALLS = "calls.jsonl"


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the file of calls. `sha256` is that of the samples as 16-bit integers."""

    pid: int
    duration_s: float
    sha256: str
    called_at: float  # seconds since 1970


class Scripted:
    """Returns "tick" for every full second of audio."""

    engine = "scripted"
    model = "scripted"
    wants_speech_only = False

    def __init__(self, model_path: Path = Path(), device: str = "cpu") -> None:  # noqa: ARG002 - as every engine
        self._folder = model_path if model_path.is_absolute() and model_path.is_dir() else None

    def warm_up(self) -> None:
        """Do nothing."""

    def transcribe(
        self,
        audio: FloatArray,
        windows: Sequence[Span],  # noqa: ARG002 - Protocol
        options: JobOptions,
        *,
        threads: int,  # noqa: ARG002 - Protocol
        on_progress: OnProgress,
    ) -> Transcript:
        duration_s = len(audio) / SAMPLE_RATE_HZ
        self._record_call(audio, duration_s)
        seconds = range(int(duration_s))
        starts = seconds[::SEGMENT_S]
        segments = tuple(
            _segment(number, list(seconds[start : start + SEGMENT_S])) for number, start in enumerate(starts)
        )
        if options.stream_windows:
            on_progress(0.5, segments[:-1])
        inject_fault(options.prompt, self._folder)
        return Transcript(
            text=joined_text(segment.text for segment in segments),
            language=options.language or "en",
            duration=duration_s,
            segments=segments,
            engine=self.engine,
            model=self.model,
        )

    def _record_call(self, audio: FloatArray, duration_s: float) -> None:
        if self._folder is None:
            return
        samples = np.rint(np.clip(audio, -1, 1) * 32767).astype("<i2")
        digest = hashlib.sha256(samples.tobytes()).hexdigest()
        call = Call(pid=os.getpid(), duration_s=duration_s, sha256=digest, called_at=time.time())
        with (self._folder / CALLS).open("ab", buffering=0) as calls:  # O_APPEND: lines of several processes do not mix
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
