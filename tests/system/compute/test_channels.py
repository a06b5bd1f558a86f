"""All words are heard whatever channel they are in, and each once: from a file through decoding and chunks."""

from collections.abc import Callable
from pathlib import Path

import jiwer
import numpy as np
import pytest
import soundfile
from whisper.normalizers import EnglishTextNormalizer

from processor_service.audio.decode import open_source
from processor_service.audio.load_mono import SAMPLE_RATE_HZ, load_mono_16k
from processor_service.audio.source import Block
from processor_service.audio.write_chunks import ChunkFile, write_chunks
from processor_service.compute.messages import ProcessChunk
from processor_service.compute.transcribe_chunk import transcribe_chunk
from processor_service.transcribers.engines import load_transcriber
from processor_service.transcribers.transcriber import Transcriber
from shared.schemas.options import JobOptions
from shared.schemas.transcript import Transcript
from tests.support.clips import GUTENBERG, JFK
from tests.support.models import model_for

pytestmark = pytest.mark.process

MAX_ERRORS = 0.15  # of the words
WOMAN, MAN = load_mono_16k(GUTENBERG.path), load_mono_16k(JFK.path)
FIRST, SECOND = np.pad(WOMAN, (0, SAMPLE_RATE_HZ + len(MAN))), np.pad(MAN, (len(WOMAN) + SAMPLE_RATE_HZ, 0))
BOTH = FIRST + SECOND

normalized = EnglishTextNormalizer()


@pytest.fixture(scope="module")
def engine() -> Transcriber:
    return load_transcriber("openai-whisper", model_for("openai-whisper"), "cpu")


def _inverted_second_speaker() -> Block:
    return np.stack([BOTH, FIRST - SECOND], axis=1)


def _film() -> Block:
    """5.1: the voice in the centre, chords as loud around it, and a rumble."""
    times = np.arange(len(BOTH)) / SAMPLE_RATE_HZ
    chords = [np.sign(np.sin(2 * np.pi * hz * times)) * (np.sin(np.pi * times) > 0) for hz in (220, 277, 330, 415)]
    left, right, back_left, back_right = (0.15 * chord for chord in chords)
    return np.stack([left, right, BOTH, 0.5 * np.sin(2 * np.pi * 40 * times), back_left, back_right], axis=1)


@pytest.mark.parametrize("make", [_inverted_second_speaker, _film])
def test_every_word_is_in_the_mix(engine: Transcriber, tmp_path: Path, make: Callable[[], Block]) -> None:
    transcript = _transcribed(engine, tmp_path, make(), JobOptions(denoise=False))
    assert _errors(f"{GUTENBERG.text} {JFK.text}", transcript.text) <= MAX_ERRORS


def test_cross_talk_is_not_transcribed(engine: Transcriber, tmp_path: Path) -> None:
    call = np.stack([FIRST + 0.03 * SECOND, SECOND + 0.03 * FIRST], axis=1)
    transcript = _transcribed(engine, tmp_path, call, JobOptions(denoise=False, channels="separate"))
    for channel, clip in enumerate((GUTENBERG, JFK)):
        texts = [segment.text for segment in transcript.segments if segment.channel == channel]
        assert _errors(clip.text, " ".join(texts)) <= MAX_ERRORS


def _transcribed(engine: Transcriber, folder: Path, sound: Block, options: JobOptions) -> Transcript:
    soundfile.write(folder / "a.wav", sound, SAMPLE_RATE_HZ)
    chunks: list[ChunkFile] = []
    with open_source(folder / "a.wav") as source:
        write_chunks(source, folder, on_chunk=chunks.append)
    (chunk,) = chunks
    request = ProcessChunk(chunk=chunk, options=options, model_path="", threads=1, denoised_path=None)
    return transcribe_chunk(engine, request, lambda _: None, from_denoised=False)


def _errors(reference: str, text: str) -> float:
    return jiwer.wer(normalized(reference), normalized(text))
