"""Words have the times that a player shows, in files whose sound track has gaps or comes from several links."""

from pathlib import Path

import pytest
import soundfile

from processor_service.audio.decode import open_source
from processor_service.audio.write_chunks import ChunkFile, write_chunks
from processor_service.compute.messages import ProcessChunk
from processor_service.compute.transcribe_chunk import transcribe_chunk
from processor_service.transcribers.engines import load_transcriber
from processor_service.transcribers.transcriber import Transcriber
from shared.schemas.options import JobOptions
from shared.schemas.transcript import Transcript
from tests.support.audio.films import write_film
from tests.support.audio.signals import CLIP
from tests.support.models import model_for

pytestmark = pytest.mark.process

SPEECH, RATE_HZ = soundfile.read(CLIP, dtype="float32")
AMERICANS_S, COUNTRY_S = 1.8, 10.2  # where the clip has them
PAUSE_S = 7.5  # of the clip, before "ask what you can do"


@pytest.fixture(scope="module")
def engine() -> Transcriber:
    return load_transcriber("openai-whisper", model_for("openai-whisper"), "cpu")


def transcribed(engine: Transcriber, path: Path) -> Transcript:
    chunks: list[ChunkFile] = []
    with open_source(path, max_audio_s=600) as source:
        write_chunks(source, path.parent, on_chunk=chunks.append)
    (chunk,) = chunks
    request = ProcessChunk(chunk=chunk, options=JobOptions(denoise=False), model_path="", threads=1, denoised_path=None)
    return transcribe_chunk(engine, request, lambda _: None, from_denoised=False)


@pytest.mark.parametrize("kind", ["ts", "ogg"])
def test_words_after_a_late_start_and_a_gap_keep_their_times(engine: Transcriber, tmp_path: Path, kind: str) -> None:
    late_s = 4.0 if kind == "ts" else 0.0  # Ogg without a video begins with its sound
    path = write_film(
        tmp_path / f"a.{kind}",
        SPEECH,
        RATE_HZ,
        stamp=lambda at_s: at_s + late_s + (6.0 if at_s > PAUSE_S else 0.0),
        video_s=22.0 if kind == "ts" else 0.0,
    )
    transcript = transcribed(engine, path)
    words = [(word.word.strip(" .,").lower(), word.start) for one in transcript.segments for word in one.words]
    assert dict(reversed(words))["americans"] == pytest.approx(AMERICANS_S + late_s, abs=0.7)
    assert words[-1][0] == "country"
    assert words[-1][1] == pytest.approx(COUNTRY_S + late_s + 6.0, abs=0.7)
    assert [word for word, _ in words].count("ask") == 2
