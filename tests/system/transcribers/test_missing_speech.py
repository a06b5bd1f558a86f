"""Detected speech is not lost silently: soft voices are heard, and speech without text gets warnings with times."""

from collections.abc import Sequence
from pathlib import Path

import jiwer
import numpy as np
import pytest
import soundfile
from whisper.normalizers import EnglishTextNormalizer

from processor_service.audio.decode import open_source
from processor_service.audio.find_speech import FINE, speech_regions
from processor_service.audio.load_mono import load_mono_16k
from processor_service.audio.write_chunks import ChunkFile, write_chunks
from processor_service.compute.messages import ProcessChunk
from processor_service.compute.transcribe_chunk import transcribe_chunk
from processor_service.transcribers.engines import load_transcriber
from processor_service.transcribers.transcriber import SAMPLE_RATE_HZ, FloatArray, OnProgress, Span, Transcriber
from shared.schemas.options import JobOptions
from shared.schemas.transcript import Transcript, WarningCode
from tests.support.clips import GUTENBERG, PICTURE_BOOKS, WIZARD, Clip
from tests.support.models import model_for

pytestmark = pytest.mark.process

MAX_MISSED = 0.15
normalized = EnglishTextNormalizer()


class Deaf:
    """An engine that hears nothing."""

    engine = model = "deaf"
    wants_speech_only = True

    def warm_up(self) -> None:
        """Do nothing."""

    def transcribe(
        self,
        audio: FloatArray,
        windows: Sequence[Span],  # noqa: ARG002 - Protocol
        options: JobOptions,  # noqa: ARG002 - Protocol
        *,
        threads: int,  # noqa: ARG002 - Protocol
        on_progress: OnProgress,
    ) -> Transcript:
        """See Transcriber."""
        on_progress(1.0, ())
        return Transcript(text="", language=None, duration=len(audio) / SAMPLE_RATE_HZ, segments=())


def _clip(clip: Clip, peak_db: float) -> FloatArray:
    audio = load_mono_16k(clip.path)
    return audio * np.float32(10 ** (peak_db / 20) / np.abs(audio).max())


def _chunks(audio: FloatArray, folder: Path, chunk_s: float) -> list[ChunkFile]:
    soundfile.write(folder / "a.wav", audio, SAMPLE_RATE_HZ, subtype="FLOAT")
    chunks: list[ChunkFile] = []
    with open_source(folder / "a.wav") as source:
        write_chunks(source, folder, threshold_s=chunk_s, chunk_s=chunk_s, on_chunk=chunks.append)
    return chunks


def _of_chunk(engine: Transcriber, chunk: ChunkFile) -> Transcript:
    request = ProcessChunk(chunk=chunk, options=JobOptions(), model_path="", threads=2, denoised_path=None)
    return transcribe_chunk(engine, request, lambda _: None, from_denoised=False)


def test_a_soft_speaker_between_loud_ones_is_heard(tmp_path: Path) -> None:
    pause = np.full(round(0.4 * SAMPLE_RATE_HZ), 1e-5, np.float32)
    audio = np.concatenate([_clip(GUTENBERG, -3), pause, _clip(WIZARD, -33), pause, _clip(PICTURE_BOOKS, -3)])
    engine = load_transcriber("openai-whisper", model_for("openai-whisper"), "cpu")

    (chunk,) = _chunks(audio, tmp_path, chunk_s=60.0)
    text = _of_chunk(engine, chunk).text

    said = " ".join(clip.text for clip in (GUTENBERG, WIZARD, PICTURE_BOOKS))
    compared = jiwer.process_words(normalized(said), normalized(text))
    assert compared.deletions <= MAX_MISSED * len(normalized(said).split())


@pytest.mark.parametrize("chunk_s", [60.0, 10.0], ids=["whole", "in chunks"])
def test_speech_that_no_engine_hears_gets_warnings_with_times(tmp_path: Path, chunk_s: float) -> None:
    audio = np.concatenate([_clip(GUTENBERG, -3), np.zeros(3 * SAMPLE_RATE_HZ, np.float32), _clip(PICTURE_BOOKS, -3)])

    chunks = _chunks(audio, tmp_path, chunk_s)
    parts = [_of_chunk(Deaf(), chunk) for chunk in chunks]

    warnings = [one for part in parts for one in part.warnings if one.code == WarningCode.SPEECH_NOT_TRANSCRIBED]
    assert (len(chunks) == 1) == (chunk_s > len(audio) / SAMPLE_RATE_HZ)
    for start_s, end_s in speech_regions(audio, FINE):
        middle_s = (start_s + end_s) / 2
        assert any(
            one.start <= middle_s <= one.end for one in warnings if one.start is not None and one.end is not None
        )
