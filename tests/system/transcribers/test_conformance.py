"""The conformance suite of all engines, with real speech and weights; the scripted one runs a part of it."""

import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from processor_service.audio.find_speech import FINE, speech_regions
from processor_service.audio.load_mono import load_mono_16k
from processor_service.transcribers import transcribe_windows
from processor_service.transcribers.engines import ENGINES, load_transcriber, needs_weights
from processor_service.transcribers.transcriber import SAMPLE_RATE_HZ, FloatArray, Span, Transcriber
from processor_service.transcribers.windows import plan_windows
from shared.schemas.options import JobOptions
from shared.schemas.transcript import Segment, Transcript, WarningCode, Word
from tests.support.acceptance.client import words_of
from tests.support.clips import CLIPS, JFK
from tests.support.models import MODEL, model_for

pytestmark = pytest.mark.process

RECOGNIZERS = [engine for engine in ENGINES if needs_weights(engine)]
PAUSE = np.zeros(int(0.7 * SAMPLE_RATE_HZ), np.float32)
MILLISECOND = 0.001

Transcribe = Callable[[str, str], Transcript]


@functools.cache
def _loaded(engine: str) -> Transcriber:
    return load_transcriber(engine, model_for(engine) if needs_weights(engine) else Path(), "cpu")


@pytest.fixture(params=RECOGNIZERS)
def engine(request: pytest.FixtureRequest) -> Transcriber:
    """An engine that recognizes speech, with its smallest model."""
    return _loaded(request.param)


@pytest.fixture(params=[*RECOGNIZERS, "scripted"])
def any_engine(request: pytest.FixtureRequest) -> Transcriber:
    return _loaded(request.param)


@pytest.fixture(scope="module")
def jfk() -> FloatArray:
    return load_mono_16k(JFK.path)


@pytest.fixture(scope="module")
def long_audio() -> FloatArray:
    """All clips: several windows."""
    return np.concatenate([part for clip in CLIPS for part in (load_mono_16k(clip.path), PAUSE)])


@pytest.fixture(scope="module")
def babble(long_audio: FloatArray) -> FloatArray:
    """Audio for which no engine is confident: all clips at once, backwards, with noise."""
    pieces = np.stack([long_audio[start * SAMPLE_RATE_HZ :][: 8 * SAMPLE_RATE_HZ] for start in (0, 8, 16)])
    noise = np.random.default_rng(0).normal(0, 0.05, pieces.shape[1])
    return np.asarray(pieces.mean(0)[::-1] + noise, np.float32)


@pytest.fixture(scope="module")
def transcribe_once(jfk: FloatArray, long_audio: FloatArray) -> Transcribe:
    """What an engine makes of "jfk" or of "long" without any option, once for all tests that look at it."""
    audio = {"jfk": jfk, "long": long_audio}
    return functools.cache(lambda engine, name: _transcribe(_loaded(engine), audio[name]))


def test_the_language_is_detected_without_a_transcript(engine: Transcriber, jfk: FloatArray) -> None:
    found = engine.transcribe(
        jfk, _windows(jfk), JobOptions(detect_language_only=True), threads=2, on_progress=lambda *_: None
    )
    assert (found.language, found.text, found.segments) == ("en", "", ())


def _windows(audio: FloatArray) -> list[Span]:
    return plan_windows(speech_regions(audio, FINE), _duration_s(audio))


def _duration_s(audio: FloatArray) -> float:
    return len(audio) / SAMPLE_RATE_HZ


def _transcribe(
    engine: Transcriber,
    audio: FloatArray,
    options: JobOptions | None = None,
    *,
    windows: list[Span] | None = None,
    threads: int = 2,
) -> Transcript:
    windows = _windows(audio) if windows is None else windows
    return engine.transcribe(audio, windows, options or JobOptions(), threads=threads, on_progress=lambda *_: None)


def _words(transcript: Transcript) -> list[Word]:
    return [word for segment in transcript.segments for word in segment.words]


def test_a_clip_is_transcribed_exactly_with_times(engine: Transcriber, transcribe_once: Transcribe) -> None:
    transcript = transcribe_once(engine.engine, "jfk")

    assert words_of(transcript.text) == words_of(JFK.text)
    assert words_of(" ".join(word.word for word in _words(transcript))) == words_of(JFK.text)
    ask = [word.end for word in _words(transcript) if words_of(word.word) == ["ask"]]
    assert ask == pytest.approx([4.1, 8.6], abs=0.3)  # measured by ear


def test_a_transcript_names_its_engine_model_and_duration(
    any_engine: Transcriber, jfk: FloatArray, transcribe_once: Transcribe
) -> None:
    transcript = transcribe_once(any_engine.engine, "jfk")

    assert transcript.duration == pytest.approx(_duration_s(jfk))
    assert (transcript.engine, transcript.model) == (any_engine.engine, any_engine.model)
    assert transcript.model in (MODEL, "scripted")
    assert [segment.id for segment in transcript.segments] == list(range(len(transcript.segments)))
    assert transcript.text == " ".join(segment.text for segment in transcript.segments)


def test_times_are_in_order_within_the_windows(
    engine: Transcriber, long_audio: FloatArray, transcribe_once: Transcribe
) -> None:
    windows = _windows(long_audio)
    assert len(windows) > 1

    words = _words(transcribe_once(engine.engine, "long"))

    edges = [edge for word in words for edge in (word.start, word.end)]
    assert edges == sorted(edges)
    outside = [
        word
        for word in words
        if not any(start - MILLISECOND <= word.start and word.end <= end + MILLISECOND for start, end in windows)
    ]
    assert outside == []


def test_a_segment_has_the_times_of_its_words(any_engine: Transcriber, transcribe_once: Transcribe) -> None:
    segments = transcribe_once(any_engine.engine, "jfk").segments

    assert segments
    for segment in segments:
        assert (segment.start, segment.end) == (segment.words[0].start, segment.words[-1].end)
        assert all(0 <= word.confidence <= 1 for word in segment.words)
        assert 0 <= segment.confidence <= 1


def test_a_batch_of_windows_has_the_text_of_single_windows(
    engine: Transcriber, long_audio: FloatArray, transcribe_once: Transcribe
) -> None:
    alone = [_transcribe(engine, long_audio, windows=[window]).text for window in _windows(long_audio)]

    assert words_of(transcribe_once(engine.engine, "long").text) == words_of(" ".join(alone))


def test_no_windows_give_an_empty_transcript(engine: Transcriber) -> None:
    transcript = _transcribe(engine, np.zeros(SAMPLE_RATE_HZ, np.float32), windows=[])

    assert (transcript.text, transcript.segments, transcript.duration) == ("", (), 1.0)


def test_a_prompt_affects_every_window(
    engine: Transcriber, long_audio: FloatArray, transcribe_once: Transcribe
) -> None:
    prompt = "and so my fellow americans no capital letters and no marks at all"

    plain, prompted = transcribe_once(engine.engine, "long"), _transcribe(engine, long_audio, JobOptions(prompt=prompt))

    def marks(transcript: Transcript) -> int:
        return sum(transcript.text.count(mark) for mark in ".,")

    assert marks(prompted) < marks(plain) / 2


@pytest.mark.parametrize(
    ("prompt", "codes"),
    [
        ("Notes on <|endoftext|> and <|startoftranscript|>", []),
        ("<|0.00|>\x01🎉约翰\u202e", []),
        ("x" * 10_000, [WarningCode.PROMPT_SHORTENED]),  # alone, it makes a model write nonsense without end
    ],
    ids=["special tokens", "strange characters", "too long"],
)
def test_any_prompt_is_text(engine: Transcriber, jfk: FloatArray, prompt: str, codes: list[WarningCode]) -> None:
    transcript = _transcribe(engine, jfk, JobOptions(prompt=prompt))

    assert [warning.code for warning in transcript.warnings] == codes
    assert words_of(transcript.text) == words_of(JFK.text)


def test_an_english_model_warns_that_it_ignored_another_language(engine: Transcriber, jfk: FloatArray) -> None:
    transcript = _transcribe(engine, jfk, JobOptions(language="de"))

    assert [warning.code for warning in transcript.warnings] == [WarningCode.LANGUAGE_IGNORED]
    assert transcript.language == "en"


def test_progress_increases_to_one(engine: Transcriber, jfk: FloatArray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcribe_windows, "WINDOWS_AT_ONCE", 1)
    reported: list[float] = []

    def report(fraction: float, _: Sequence[Segment]) -> None:
        reported.append(fraction)

    engine.transcribe(jfk, [(0.0, 4.5), (5.0, 9.5)], JobOptions(), threads=2, on_progress=report)

    assert reported == sorted(reported)
    assert {0.25, 0.5, 0.75, 1.0} <= set(reported)  # each window counts half when it is encoded


def test_the_same_audio_gives_the_same_text(any_engine: Transcriber, jfk: FloatArray, babble: FloatArray) -> None:
    windows = [(0.0, _duration_s(babble))]
    first = _transcribe(any_engine, babble, windows=windows)
    _transcribe(any_engine, jfk)

    assert _transcribe(any_engine, babble, windows=windows) == first


def test_no_more_cores_are_used_than_allowed(engine: Transcriber, jfk: FloatArray) -> None:
    _transcribe(engine, jfk, threads=2)
    _transcribe(engine, jfk, threads=1)  # may reload the model
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    _transcribe(engine, jfk, threads=1)

    # A ratio, not a time limit: a busy machine increases the wall time only.
    assert time.process_time() - cpu_s < 1.2 * (time.perf_counter() - wall_s)


def test_a_transcript_is_unchanged_by_json(any_engine: Transcriber, transcribe_once: Transcribe) -> None:
    transcript = transcribe_once(any_engine.engine, "jfk")

    assert msgspec.json.decode(msgspec.json.encode(transcript), type=Transcript) == transcript
