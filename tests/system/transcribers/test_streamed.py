"""A real engine sends the text of a chunk before the end, as the transcript has it. Progress moves by windows."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from ingest_service.openai_api.stream import Deltas
from processor_service.audio.decode import open_source
from processor_service.audio.load_mono import load_mono_16k
from processor_service.audio.write_chunks import ChunkFile, write_chunks
from processor_service.compute.messages import ProcessChunk, WindowTranscribed
from processor_service.compute.transcribe_chunk import transcribe_chunk
from processor_service.stages.final_transcript import final_transcript
from processor_service.transcribers.engines import load_transcriber
from processor_service.transcribers.transcriber import SAMPLE_RATE_HZ, Transcriber
from shared.schemas.options import JobOptions
from tests.support.clips import CLIPS
from tests.support.models import model_for

pytestmark = [pytest.mark.model, pytest.mark.process]
MINUTE_S = 60


@pytest.fixture(scope="module", params=["openai-whisper", "faster-whisper"])
def engine(request: pytest.FixtureRequest) -> Transcriber:
    return load_transcriber(request.param, model_for(request.param), "cpu")


def _chunks(folder: Path, threshold_s: float) -> list[ChunkFile]:
    """Write the chunks of a minute of speech."""
    clips = [load_mono_16k(clip.path) for clip in CLIPS]
    pause = np.full(SAMPLE_RATE_HZ // 2, 1e-5, np.float32)
    once = np.concatenate([piece for clip in clips for piece in (clip, pause)])
    minute = np.tile(once, -(-MINUTE_S * SAMPLE_RATE_HZ // len(once)))[: MINUTE_S * SAMPLE_RATE_HZ]
    soundfile.write(folder / "minute.wav", minute, SAMPLE_RATE_HZ)
    chunks: list[ChunkFile] = []
    with open_source(folder / "minute.wav") as source:
        write_chunks(source, folder, threshold_s=threshold_s, chunk_s=threshold_s, on_chunk=chunks.append)
    return chunks


@pytest.mark.parametrize("threshold_s", [600.0, 30.0], ids=["one chunk", "several chunks"])
def test_text_that_is_sent_early_is_the_beginning_of_the_transcript(
    engine: Transcriber, tmp_path: Path, threshold_s: float
) -> None:
    deltas, sent, fractions = Deltas(), list[WindowTranscribed](), list[float]()
    chunks = _chunks(tmp_path, threshold_s)
    parts = []
    for chunk in chunks:
        options = JobOptions(stream_windows=True)
        request = ProcessChunk(chunk=chunk, options=options, model_path="", threads=2, denoised_path=None)
        parts.append(transcribe_chunk(engine, request, fractions.append, from_denoised=False, send_window=sent.append))

    text = "".join(deltas.add(window.segments) for window in sent)
    assert [window.is_last for window in sent].count(True) == len(chunks)
    assert text == final_transcript(parts, JobOptions(), duration_s=MINUTE_S).text
    if len(chunks) == 1:
        assert not sent[0].is_last
        assert sent[0].segments
        assert fractions == sorted(fractions)
        assert len(set(fractions)) > 2


def test_nothing_is_sent_unless_it_is_requested(engine: Transcriber, tmp_path: Path) -> None:
    (chunk,) = _chunks(tmp_path, 600.0)
    sent: list[WindowTranscribed] = []
    fractions: list[float] = []
    request = ProcessChunk(chunk=chunk, options=JobOptions(), model_path="", threads=2, denoised_path=None)

    transcribe_chunk(engine, request, fractions.append, from_denoised=False, send_window=sent.append)

    assert sent == []
    assert len(set(fractions)) > 2
