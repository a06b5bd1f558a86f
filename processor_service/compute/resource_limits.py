"""The resource limits of a compute child: memory, CPU time, file size, open files. The child sets them itself.

The kernel kills a child that exceeds them. They apply on Linux; on other systems only the worker's time limit applies.
"""

import faulthandler
import math
import resource
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec

from processor_service.audio.write_chunks import ChunkFile
from processor_service.models.cache import WEIGHTS

BESIDES_MODELS_BYTES = 4 << 30  # libraries, ten minutes of audio, and the denoiser's memory for one block
MODEL_COPIES = 3  # a checkpoint with 16-bit weights, and the model with 32-bit weights while it loads
MODELS_LOADED = 2  # at most, see requests.Engine
OPEN_FILES = 256
SMALL_FILES_BYTES = 64 << 20  # what libraries write besides our audio
SAMPLE_BYTES = 4  # of FLAC at most: three, and the frames' headers
OUT_OF_MEMORY_STATUS = 137  # as a shell shows SIGKILL, by which the kernel's OOM killer ends a process

EXCEEDED = {
    -signal.SIGXCPU: "exceeded its CPU time limit",
    -signal.SIGXFSZ: "exceeded its file size limit",
    OUT_OF_MEMORY_STATUS: "exceeded its memory limit",
}
# torch, oneDNN, FFmpeg and the C library do not raise MemoryError when memory runs out.
OUT_OF_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "bad_alloc",
    "cannot allocate memory",
    "new thread",
    "could not create a primitive",
)


def memory_bytes(fixed_bytes: int, model_bytes: Iterable[int]) -> int:
    """Return the limit of the setting or, when that is 0, what the two largest models need."""
    largest = sorted(model_bytes, reverse=True)[:MODELS_LOADED]
    return fixed_bytes or BESIDES_MODELS_BYTES + MODEL_COPIES * sum(largest)


def weights_bytes(model: Path) -> int:
    """Return the size of a model, a file or a folder that contains one; 0 without weights."""
    weights = model / WEIGHTS if model.is_dir() else model
    return weights.stat().st_size if weights.is_file() else 0


class TimeLimit(msgspec.Struct, frozen=True):
    """How long a request may take in total, and between two replies. The worker's time for a reply does not count."""

    total_s: float
    idle_s: float = math.inf


def cpu_allowance_s(time_limit: TimeLimit, threads: int) -> int:
    """Return the CPU time of one request: its threads, and one of a library, busy for the whole time limit."""
    return math.ceil(time_limit.total_s * (threads + 1)) + 5


def audio_file_bytes(audio_s: float, sample_rate_hz: int, channels: int) -> int:
    """Return an upper bound for the size of a FLAC file of `audio_s`."""
    return math.ceil(audio_s * sample_rate_hz * channels * SAMPLE_BYTES) + SMALL_FILES_BYTES


def denoised_file_bytes(chunk: ChunkFile) -> int:
    """Return an upper bound for a denoised chunk: the core, and on each side less than the core's length."""
    seconds = 3 * (chunk.core_end_frame - chunk.core_start_frame) / chunk.sample_rate_hz
    return audio_file_bytes(seconds, chunk.sample_rate_hz, chunk.channels)


def joined_file_bytes(paths: Iterable[str]) -> int:
    """Return an upper bound for the file joined from these, which have the same compression."""
    return 2 * sum(Path(path).stat().st_size for path in paths) + SMALL_FILES_BYTES


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory ran out. The process must exit then: its state may be inconsistent."""
    message = str(error).lower()
    return isinstance(error, MemoryError) or any(words in message for words in OUT_OF_MEMORY)


def describe_exit(status: int) -> str:
    """Return the meaning of a child's exit status, as a predicate."""
    if status < 0:
        return f"{EXCEEDED.get(status, 'was killed')} ({signal.Signals(-status).name})"
    return EXCEEDED.get(status, f"ended with status {status}")


def limit_process() -> None:
    """Set the limits that need no request. Exceeding one kills this process; faulthandler prints its stack first."""
    faulthandler.enable(all_threads=False)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it by default
        for number in (signal.SIGXCPU, signal.SIGXFSZ):
            faulthandler.register(number, all_threads=False, chain=True)
        _limit(resource.RLIMIT_NOFILE, OPEN_FILES)
        limit_files(SMALL_FILES_BYTES)


class MemoryLimit:
    """The memory limit of this process. It grows with the models unless a setting fixes it."""

    def __init__(self, fixed_bytes: int) -> None:
        self._fixed_bytes = fixed_bytes
        self._model_bytes: dict[Path, int] = {}

    def allow_model(self, model: Path) -> None:
        """Raise the limit before a model is loaded. It counts private memory, not mapped files."""
        self._model_bytes[model] = weights_bytes(model)
        if sys.platform == "linux":
            _limit(resource.RLIMIT_DATA, memory_bytes(self._fixed_bytes, self._model_bytes.values()))


def allow_cpu(seconds: int) -> None:
    """Let this process use so many more seconds of CPU time; then SIGXCPU kills it."""
    if sys.platform == "linux":
        usage = resource.getrusage(resource.RUSAGE_SELF)
        _limit(resource.RLIMIT_CPU, math.ceil(usage.ru_utime + usage.ru_stime) + seconds)


def limit_files(largest_bytes: int) -> None:
    """Limit the size of the files that this process writes; SIGXFSZ kills it at the limit."""
    if sys.platform == "linux":
        _limit(resource.RLIMIT_FSIZE, largest_bytes)


def _limit(kind: int, soft: int) -> None:
    """Set the soft limit only: it takes effect, and can be raised again."""
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))
