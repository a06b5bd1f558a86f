"""The openai-whisper engine on real speech, with real weights."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from processor_service.audio.find_speech import FINE, speech_regions
from processor_service.audio.load_mono import load_mono_16k
from processor_service.models.cache import ModelCache, locate
from processor_service.transcribers.openai_whisper import OpenAIWhisper
from processor_service.transcribers.protocol import SAMPLE_RATE_HZ, FloatArray, Span
from processor_service.transcribers.snap_times import snap_times
from processor_service.transcribers.whisper_decode import FALL_BACK_TEMPERATURES, NOTHING, Decoded, decode_reliably
from processor_service.transcribers.windows import plan_windows
from shared.options import JobOptions
from shared.transcript import Transcript, Word
from tests.acceptance.client import words_of
from tests.clips import CLIPS, JFK

MODEL = "tiny.en"
PAUSE = np.zeros(int(0.7 * SAMPLE_RATE_HZ), np.float32)


@pytest.fixture(scope="module")
def engine() -> OpenAIWhisper:
    """As the local stack prepares it: fetched once into the environment's own folder."""
    folder = os.environ.get("HEADRACE_MODEL_DIR") or str(Path(sys.prefix) / "models")
    prepare = [sys.executable, "-m", "processor_service.models", MODEL]
    subprocess.run(prepare, env={**os.environ, "HEADRACE_MODEL_DIR": folder}, check=True)
    return OpenAIWhisper(locate(MODEL, ModelCache(Path(folder))))


def _transcribe(
    engine: OpenAIWhisper, audio: FloatArray, options: JobOptions | None = None, windows: list[Span] | None = None
) -> Transcript:
    speech = speech_regions(audio, FINE)
    windows = plan_windows(speech, len(audio) / SAMPLE_RATE_HZ) if windows is None else windows
    transcript = engine.transcribe(audio, windows, options or JobOptions(), threads=2, on_progress=lambda _: None)
    return snap_times(transcript, speech)


def _words(transcript: Transcript) -> list[Word]:
    return [word for segment in transcript.segments for word in segment.words]


@pytest.fixture(scope="module")
def long_audio() -> FloatArray:
    return np.concatenate([part for clip in CLIPS * 2 for part in (load_mono_16k(clip.path), PAUSE)])


def test_a_clip_is_heard_word_for_word_with_times(engine: OpenAIWhisper) -> None:
    audio = load_mono_16k(JFK.path)

    transcript = _transcribe(engine, audio)

    assert words_of(transcript.text) == words_of(JFK.text)
    assert words_of(" ".join(word.word for word in _words(transcript))) == words_of(JFK.text)
    ask = [word.start for word in _words(transcript) if words_of(word.word) == ["ask"]]
    assert ask == pytest.approx([3.3, 8.2], abs=0.3)  # as one hears it: after the pauses


def test_windows_of_a_batch_are_heard_as_each_alone(engine: OpenAIWhisper, long_audio: FloatArray) -> None:
    windows = plan_windows(speech_regions(long_audio, FINE), len(long_audio) / SAMPLE_RATE_HZ)
    assert len(windows) > 2

    together = _transcribe(engine, long_audio, windows=windows)
    alone = [_transcribe(engine, long_audio, windows=[window]).text for window in windows]

    assert together.text == " ".join(alone)


def test_times_rise_over_all_windows(engine: OpenAIWhisper, long_audio: FloatArray) -> None:
    words = _words(_transcribe(engine, long_audio))

    edges = [edge for word in words for edge in (word.start, word.end)]
    assert edges == sorted(edges)
    assert edges[-1] <= len(long_audio) / SAMPLE_RATE_HZ
    assert [segment.id for segment in _transcribe(engine, long_audio).segments][:3] == [0, 1, 2]


def test_without_word_times_segments_still_have_theirs(engine: OpenAIWhisper) -> None:
    transcript = _transcribe(engine, load_mono_16k(JFK.path), JobOptions(word_timestamps=False))

    assert _words(transcript) == []
    assert transcript.segments[0].start == pytest.approx(0.3, abs=0.4)
    assert transcript.segments[-1].end == pytest.approx(10.7, abs=0.6)


def test_a_prompt_reaches_every_window(engine: OpenAIWhisper, long_audio: FloatArray) -> None:
    prompt = "and so my fellow americans no capital letters and no marks at all"

    plain, prompted = _transcribe(engine, long_audio), _transcribe(engine, long_audio, JobOptions(prompt=prompt))

    def marks(transcript: Transcript) -> int:
        return sum(transcript.text.count(mark) for mark in ".,")

    assert marks(prompted) < marks(plain) / 2


def test_without_windows_nothing_was_said(engine: OpenAIWhisper) -> None:
    transcript = _transcribe(engine, np.zeros(SAMPLE_RATE_HZ, np.float32))

    assert (transcript.text, transcript.segments, transcript.duration) == ("", (), 1.0)


class _Doubting:
    """Decodes as it was told for each temperature."""

    def __init__(self, *texts: Decoded) -> None:
        self.texts = list(texts)
        self.asked: list[tuple[int, float]] = []

    def decode(self, features: torch.Tensor, *, temperature: float = 0.0) -> list[Decoded]:
        self.asked.append((len(features), temperature))
        return [self.texts.pop(0) for _ in features]


def _decoded(text: str, log_probability: float, no_speech: float = 0.0) -> Decoded:
    return Decoded(tokens=(), text=text, mean_log_probability=log_probability, no_speech_probability=no_speech)


FINE_TEXT = _decoded("ask not what your country", -0.2)
LOOP = _decoded("no no " * 50, -0.1)
GUESS = _decoded("hm", -2.0)


def test_only_what_fails_the_checks_is_decoded_again() -> None:
    better = _decoded("what you can do", -0.5)
    decoder = _Doubting(FINE_TEXT, LOOP, GUESS, GUESS, better, better)

    decoded = decode_reliably(decoder, torch.zeros(3, 1, 1))  # type: ignore[arg-type]

    assert decoded == [FINE_TEXT, better, better]
    assert decoder.asked == [(3, 0.0), (2, 0.2), (1, 0.4)]


def test_when_every_attempt_is_doubtful_a_guess_is_kept_rather_than_a_loop() -> None:
    attempts = [LOOP, GUESS, *[LOOP] * (len(FALL_BACK_TEMPERATURES) - 1)]

    assert decode_reliably(_Doubting(*attempts), torch.zeros(1, 1, 1)) == [GUESS]  # type: ignore[arg-type]


def test_a_guess_at_silence_is_nothing() -> None:
    silence = _decoded("Thank you.", -1.5, no_speech=0.9)

    assert decode_reliably(_Doubting(silence), torch.zeros(1, 1, 1)) == [NOTHING]  # type: ignore[arg-type]
