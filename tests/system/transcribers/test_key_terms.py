"""Real speech: a key term is written as given, and unrelated ones change nothing."""

import numpy as np
import pytest

from processor_service.audio.load_mono import load_mono_16k
from processor_service.transcribers.engines import load_transcriber
from processor_service.transcribers.transcriber import SAMPLE_RATE_HZ, FloatArray, Transcriber
from shared.schemas.options import JobOptions
from shared.schemas.transcript import Transcript
from tests.support.clips import GUTENBERG
from tests.support.models import model_for

pytestmark = [pytest.mark.model, pytest.mark.process]

UNRELATED = tuple(
    f"{first}{second}{third}" for first in "BDGKLMNRTV" for second in "aeiou" for third in ("lmar", "ndro")
)


@pytest.fixture(scope="module")
def engine() -> Transcriber:
    return load_transcriber("openai-whisper", model_for("openai-whisper"), "cpu")


@pytest.fixture(scope="module")
def bible() -> FloatArray:
    return load_mono_16k(GUTENBERG.path)


def heard(engine: Transcriber, audio: FloatArray, *terms: str) -> Transcript:
    options = JobOptions(language="en", keyterms=terms)
    window = (0.0, len(audio) / SAMPLE_RATE_HZ)
    return engine.transcribe(audio, [window], options, threads=1, on_progress=lambda *_: None)


def test_a_term_is_written_as_given_and_the_rest_stays(engine: Transcriber, bible: FloatArray) -> None:
    plain, named = heard(engine, bible), heard(engine, bible, "Gutenberg", *UNRELATED)
    assert "Gutenberg" not in plain.text
    assert "Gutenberg" in named.text
    assert [word.word for word in named.segments[0].words if word.word not in plain.text] == ["Gutenberg"]
    assert [word.start for word in named.segments[0].words] == pytest.approx(
        [word.start for word in plain.segments[0].words], abs=0.3
    )


def test_unrelated_terms_change_nothing(engine: Transcriber, bible: FloatArray) -> None:
    assert heard(engine, bible, *UNRELATED).segments == heard(engine, bible).segments


def test_terms_change_nothing_in_silence(engine: Transcriber) -> None:
    silence = np.zeros(5 * SAMPLE_RATE_HZ, np.float32)
    assert heard(engine, silence, "Gutenberg", *UNRELATED).text == heard(engine, silence).text
