"""The local engines, in a child with all its limits."""

from pathlib import Path

import pytest

from processor_service.audio.write_chunks import ChunkFile
from processor_service.compute.messages import ChunkProcessed, ProcessChunk, Warm
from processor_service.compute.pool import ComputePool
from processor_service.compute.resource_limits import weights_bytes
from processor_service.transcribers.engines import ENGINES, needs_weights
from shared.schemas.options import JobOptions
from tests.support.acceptance.client import words_of
from tests.support.clips import JFK
from tests.support.models import model_for
from tests.system.compute.conftest import ANY, LONG

pytestmark = pytest.mark.process

RATE_HZ, FRAMES = 16_000, 176_000  # of the clip


@pytest.mark.parametrize("engine", [one for one in ENGINES if needs_weights(one)])
async def test_an_engine_transcribes_a_clip_within_the_limits_of_a_child(engine: str, scratch: Path) -> None:
    model = str(model_for(engine))
    chunk = ChunkFile(
        path=str(JFK.path),
        ordinal=0,
        file_start_frame=0,
        core_start_frame=0,
        core_end_frame=FRAMES,
        sample_rate_hz=RATE_HZ,
        channels=1,
    )
    request = ProcessChunk(
        chunk=chunk, options=JobOptions(denoise=False), model_path=model, threads=1, denoised_path=None
    )
    pool = ComputePool(
        Warm(engine=engine, model_path=model, device="cpu"),
        slots=1,
        threads=2,
        scratch=scratch,
        readable=[Path(model), Path(JFK.path)],
    )
    try:
        await pool.start()
        async with pool.slot() as slot:
            reply = await slot.ask(request, ChunkProcessed, time_limit=LONG, writes=ANY)
    finally:
        await pool.stop()

    assert words_of(reply.transcript.text) == words_of(JFK.text)
    assert reply.transcript.engine == engine


@pytest.mark.parametrize("engine", [one for one in ENGINES if needs_weights(one)])
def test_the_size_of_a_model_is_that_of_its_weights(engine: str) -> None:
    assert 70 << 20 < weights_bytes(model_for(engine)) < 80 << 20


def test_a_folder_without_weights_has_size_zero(tmp_path: Path) -> None:
    assert weights_bytes(tmp_path) == 0
