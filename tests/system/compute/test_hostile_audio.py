"""Files that decode to far more bytes than they have."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from processor_service.compute.messages import Prepared, SplitSource
from processor_service.errors import PermanentError
from shared.schemas.failures import FailureCode
from tests.system.compute.conftest import ANY, LONG, MEMORY_BYTES, Model, Pool

pytestmark = pytest.mark.process

RATE_HZ = 16_000
HOURS = 10


@pytest.fixture(scope="session")
def bomb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten hours of silence in a few megabytes."""
    path = tmp_path_factory.mktemp("bomb") / "bomb.flac"
    minute = np.zeros(60 * RATE_HZ, np.int16)
    with soundfile.SoundFile(path, "w", RATE_HZ, 1, "PCM_16", format="FLAC") as file:
        for _ in range(HOURS * 60):
            file.write(minute)
    assert path.stat().st_size < HOURS * 3600 * RATE_HZ * 2 / 100
    return path


async def test_a_decompression_bomb_is_refused_as_too_long_in_little_memory(
    bomb: Path, started: Pool, model: Model, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    request = SplitSource(
        source_path=str(bomb), out_dir=str(out), threshold_s=1800.0, chunk_s=600.0, max_audio_s=3600.0
    )
    async with started(writable=[bomb.parent]) as pool, pool.slot() as slot:
        pid = slot.child.pid
        with pytest.raises(PermanentError) as failure:
            await slot.ask(request, Prepared, time_limit=LONG, writes=ANY)
        assert failure.value.code is FailureCode.AUDIO_TOO_LONG
        assert slot.child.pid == pid
        assert _peak_bytes(pid) < MEMORY_BYTES
        assert await model.text(slot) == "tick tick"


def _peak_bytes(pid: int) -> int:
    """Return the peak resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))
