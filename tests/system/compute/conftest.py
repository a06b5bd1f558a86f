"""Real compute children with the scripted transcriber."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile

from processor_service.audio.scratch_files import WriteLimits
from processor_service.audio.write_chunks import ChunkFile
from processor_service.compute.messages import ChunkProcessed, ProcessChunk, Warm
from processor_service.compute.pool import ComputePool, Slot
from processor_service.compute.resource_limits import TimeLimit
from processor_service.transcribers.scripted import CALLS, Call
from shared.schemas.options import JobOptions

MEMORY_BYTES = 512 << 20
RATE_HZ = 8000
LONG = TimeLimit(60.0)
ANY = WriteLimits()

Pool = Callable[..., contextlib.AbstractAsyncContextManager[ComputePool]]


class Model:
    """The model folder of a scripted transcriber, and a chunk of two seconds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "chunk.flac"
        soundfile.write(self.path, 0.1 * np.random.default_rng(0).standard_normal(2 * RATE_HZ), RATE_HZ)

    def calls(self) -> list[Call]:
        path = self.folder / CALLS
        lines = path.read_bytes().splitlines() if path.exists() else []
        return [msgspec.json.decode(line, type=Call) for line in lines]

    def request(self, prompt: str | None = None, seconds: int = 2) -> ProcessChunk:
        if seconds != 2:
            soundfile.write(self.path, 0.1 * np.random.default_rng(0).standard_normal(seconds * RATE_HZ), RATE_HZ)
        chunk = ChunkFile(
            path=str(self.path),
            ordinal=0,
            file_start_frame=0,
            core_start_frame=0,
            core_end_frame=seconds * RATE_HZ,
            sample_rate_hz=RATE_HZ,
            channels=1,
        )
        options = JobOptions(denoise=False, prompt=prompt)
        return ProcessChunk(chunk=chunk, options=options, model_path=str(self.folder), threads=1, denoised_path=None)

    async def text(self, slot: Slot, prompt: str | None = None, time_limit: TimeLimit = LONG) -> str:
        """Return the text that the child of a slot transcribes."""
        return (await slot.ask(self.request(prompt), ChunkProcessed, time_limit=time_limit, writes=ANY)).transcript.text

    def asked(self, slot: Slot, prompt: str) -> asyncio.Task[str]:
        return asyncio.create_task(self.text(slot, prompt))


@pytest.fixture
def model(tmp_path: Path) -> Model:
    (tmp_path / "model").mkdir()
    return Model(tmp_path / "model")


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


@pytest.fixture
def started(model: Model, scratch: Path) -> Pool:
    """Start a pool of warm children for a block."""

    @contextlib.asynccontextmanager
    async def start(
        *, slots: int = 1, memory_bytes: int = MEMORY_BYTES, writable: Sequence[Path] = ()
    ) -> AsyncIterator[ComputePool]:
        warm = Warm(engine="scripted", model_path=str(model.folder), memory_bytes=memory_bytes)
        pool = ComputePool(warm, slots=slots, threads=1, scratch=scratch, writable=[model.folder.parent, *writable])
        try:
            await pool.start()
            yield pool
        finally:
            await pool.stop()

    return start


def files(folder: Path) -> set[Path]:
    return set(folder.iterdir())


def group(leader: int) -> set[int]:
    """Return the living processes of a process group, without zombies."""
    return {pid for pid, of, state in _processes() if of == leader and state not in "ZX"}


def _processes() -> Iterator[tuple[int, int, str]]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # the process ended meanwhile
            state, _, group_id, *_ = stat.read_text().rpartition(")")[2].split()
            yield int(stat.parent.name), int(group_id), state
