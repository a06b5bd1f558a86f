"""What a compute child may take of the machine. It sets these limits itself; the kernel ends it where it takes more.

The kernel's limits are Linux'. Elsewhere there is the worker's time limit alone.
"""

import contextlib
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

BESIDES_MODELS_BYTES = 4 << 30  # the libraries, ten minutes of audio, and what denoising takes for a block of it
MODEL_COPIES = 3  # the checkpoint of 16-bit weights and, while it is read, the model of 32-bit ones beside it
MODELS_LOADED = 2  # at most, see requests.Engine
OPEN_FILES = 256
SMALL_FILES_BYTES = 64 << 20  # whatever libraries write besides our audio
SAMPLE_BYTES = 4  # of FLAC at its worst: three, and the frames' headers
OUT_OF_MEMORY_STATUS = 137  # as a shell shows SIGKILL, which is how the kernel would end it
KILLED_FIRST = "500"  # when the whole machine is out of memory: the child rather than its worker

EXCEEDED = {
    -signal.SIGXCPU: "used more CPU time than it was given",
    -signal.SIGXFSZ: "wrote a larger file than it may",
    OUT_OF_MEMORY_STATUS: "ran out of the memory it may use",
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
    """The limit that a setting fixed or, when that is 0, the one that these models need, of which two are loaded."""
    largest = sorted(model_bytes, reverse=True)[:MODELS_LOADED]
    return fixed_bytes or BESIDES_MODELS_BYTES + MODEL_COPIES * sum(largest)


def weights_bytes(model: Path) -> int:
    """The size of a model, which is a file or a folder with one; 0 where there are no weights."""
    weights = model / WEIGHTS if model.is_dir() else model
    return weights.stat().st_size if weights.is_file() else 0


class Patience(msgspec.Struct, frozen=True):
    """How long a request may take: in all, and without a reply of any kind. What the worker does meanwhile is free."""

    total_s: float
    silence_s: float = math.inf


def cpu_allowance_s(patience: Patience, threads: int) -> int:
    """CPU time for one request: all its threads and one of a library's own, busy for the whole of its time."""
    return math.ceil(patience.total_s * (threads + 1)) + 5


def audio_file_bytes(audio_s: float, sample_rate_hz: int, channels: int) -> int:
    """What a FLAC file of so much audio never exceeds."""
    return math.ceil(audio_s * sample_rate_hz * channels * SAMPLE_BYTES) + SMALL_FILES_BYTES


def denoised_file_bytes(chunk: ChunkFile) -> int:
    """The same of what is made of a chunk: its core, and at each side less than the core's own length."""
    seconds = 3 * (chunk.core_end_frame - chunk.core_start_frame) / chunk.sample_rate_hz
    return audio_file_bytes(seconds, chunk.sample_rate_hz, chunk.channels)


def joined_file_bytes(paths: Iterable[str]) -> int:
    """The same of a file that is joined from these, which are compressed as it will be."""
    return 2 * sum(Path(path).stat().st_size for path in paths) + SMALL_FILES_BYTES


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory ran out, after which a process is not to be trusted."""
    said = str(error).lower()
    return isinstance(error, MemoryError) or any(words in said for words in OUT_OF_MEMORY)


def ended_how(status: int) -> str:
    """The exit status of a child in words."""
    if status < 0:
        return f"{EXCEEDED.get(status, 'was ended')} ({signal.Signals(-status).name})"
    return EXCEEDED.get(status, f"ended with status {status}")


def prepare_to_die() -> None:
    """Make every misfortune an end of this process, with a last word about where it was; no half-alive child."""
    faulthandler.enable(all_threads=False)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it, and goes on
        for number in (signal.SIGXCPU, signal.SIGXFSZ):
            faulthandler.register(number, all_threads=False, chain=True)
        _limit(resource.RLIMIT_NOFILE, OPEN_FILES)
        limit_files(SMALL_FILES_BYTES)
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(KILLED_FIRST)


class MemoryLimit:
    """The memory of this process, raised as models are asked for unless a setting fixed it."""

    def __init__(self, fixed_bytes: int) -> None:
        self._fixed_bytes = fixed_bytes
        self._model_bytes: dict[Path, int] = {}

    def make_room_for(self, model: Path) -> None:
        """To be called before a model is loaded. Counts all memory that is the process' own, not files it maps."""
        self._model_bytes[model] = weights_bytes(model)
        if sys.platform == "linux":
            _limit(resource.RLIMIT_DATA, memory_bytes(self._fixed_bytes, self._model_bytes.values()))


def allow_cpu(seconds: int) -> None:
    """Let this process use so many more seconds of CPU time; SIGXCPU ends it then."""
    if sys.platform == "linux":
        usage = resource.getrusage(resource.RUSAGE_SELF)
        _limit(resource.RLIMIT_CPU, math.ceil(usage.ru_utime + usage.ru_stime) + seconds)


def limit_files(largest_bytes: int) -> None:
    """Let no file that this process writes grow beyond a size; SIGXFSZ ends it there."""
    if sys.platform == "linux":
        _limit(resource.RLIMIT_FSIZE, largest_bytes)


def _limit(kind: int, soft: int) -> None:
    """The soft limit alone: it is what acts, and it may be raised again."""
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))
