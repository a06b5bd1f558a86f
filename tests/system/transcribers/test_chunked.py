"""A file in chunks has the transcript of the whole: no word is doubled, lost or moved at a seam."""

import random
from itertools import pairwise
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
from processor_service.stages.final_transcript import final_transcript
from processor_service.transcribers.engines import load_transcriber
from processor_service.transcribers.transcriber import SAMPLE_RATE_HZ, FloatArray, Transcriber
from shared.schemas.options import JobOptions
from shared.schemas.transcript import Transcript
from tests.support.clips import CLIPS
from tests.support.models import model_for

pytestmark = pytest.mark.process

WHOLE_S = 3600.0
CHUNK_S = 80.0
ROUNDS = 4  # of all clips, in different orders: 430 words
MAX_DIFFERENT = 0.01  # of the words, with a cut every 80 s; the service cuts every 600 s
MOVED_S = 0.1  # few word starts vary more than this with the window around them
MAX_MOVED = 0.05  # of the words
MAX_MOVED_S = 0.6

normalized = EnglishTextNormalizer()


@pytest.fixture(scope="module")
def engine() -> Transcriber:
    return load_transcriber("openai-whisper", model_for("openai-whisper"), "cpu")


@pytest.mark.parametrize("pause_s", [0.6, 0.0], ids=["with pauses", "without a pause"])
def test_chunks_have_the_transcript_of_the_whole(engine: Transcriber, tmp_path: Path, pause_s: float) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, _long_audio(pause_s), SAMPLE_RATE_HZ, subtype="FLOAT")

    (alone,), whole = _transcribed(engine, path, tmp_path, chunk_s=WHOLE_S)
    chunks, merged = _transcribed(engine, path, tmp_path, chunk_s=CHUNK_S)

    assert not alone.ends_in_speech
    assert len(chunks) >= 2
    assert [chunk.ends_in_speech for chunk in chunks[:-1]] == [pause_s == 0] * (len(chunks) - 1)
    _expect_equal(whole, merged)


def _expect_equal(whole: Transcript, merged: Transcript) -> None:
    reference = normalized(whole.text).split()
    compared = jiwer.process_words(" ".join(reference), normalized(merged.text))
    different = compared.substitutions + compared.insertions + compared.deletions
    assert different <= MAX_DIFFERENT * len(reference)
    words = [word for segment in merged.segments for word in segment.words]
    assert all(one.start <= one.end <= after.start for one, after in pairwise(words))
    moved_s = _moved_s(whole, merged)
    assert len(moved_s) > 0.9 * len(words)
    assert sum(one > MOVED_S for one in moved_s) <= MAX_MOVED * len(moved_s)
    assert max(moved_s) <= MAX_MOVED_S


def _moved_s(whole: Transcript, merged: Transcript) -> list[float]:
    """The distances between the starts of the words that both have."""
    first = [word for segment in whole.segments for word in segment.words]
    second = [word for segment in merged.segments for word in segment.words]
    aligned = jiwer.process_words(" ".join(word.word for word in first), " ".join(word.word for word in second))
    return [
        abs(first[chunk.ref_start_idx + n].start - second[chunk.hyp_start_idx + n].start)
        for chunk in aligned.alignments[0]
        if chunk.type == "equal"
        for n in range(chunk.ref_end_idx - chunk.ref_start_idx)
    ]


def _long_audio(pause_s: float) -> FloatArray:
    """Clips in random order. With `pause_s` of 0, the pauses within clips are cut out, too."""
    dice = random.Random(1)
    pause = np.zeros(round(pause_s * SAMPLE_RATE_HZ), np.float32)
    parts = []
    for _ in range(ROUNDS):
        for clip in dice.sample(CLIPS, len(CLIPS)):
            audio = load_mono_16k(clip.path)
            audio = audio * np.float32(0.7 / np.abs(audio).max())
            parts += [audio if pause_s else _without_pauses(audio), pause]
    return np.concatenate(parts)


def _without_pauses(audio: FloatArray) -> FloatArray:
    regions = speech_regions(audio, FINE)
    return np.concatenate(
        [audio[int(start_s * SAMPLE_RATE_HZ) : int(end_s * SAMPLE_RATE_HZ)] for start_s, end_s in regions]
    )


def _transcribed(
    engine: Transcriber, path: Path, folder: Path, *, chunk_s: float
) -> tuple[list[ChunkFile], Transcript]:
    chunks: list[ChunkFile] = []
    with open_source(path) as source:
        audio = write_chunks(source, folder, threshold_s=chunk_s, chunk_s=chunk_s, on_chunk=chunks.append)
    parts = [_of_chunk(engine, chunk) for chunk in chunks]
    return chunks, final_transcript(parts, JobOptions(), duration_s=audio.duration_s)


def _of_chunk(engine: Transcriber, chunk: ChunkFile) -> Transcript:
    request = ProcessChunk(chunk=chunk, options=JobOptions(), model_path="", threads=2, denoised_path=None)
    return transcribe_chunk(engine, request, lambda _: None, from_denoised=False)
