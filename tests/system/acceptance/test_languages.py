"""Real speech of two languages in one file, through both services, with the model `base`."""

import asyncio
import io
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
import soundfile
from jiwer import wer

from processor_service.audio.load_mono import SAMPLE_RATE_HZ, load_mono_16k
from tests.support.acceptance.client import Client, words_of
from tests.support.clips import JFK, NARRATIVE, SPANISH, Clip
from tests.support.ingest.serving import until
from tests.support.models import model_for

MOST_ERRORS = {"en": 0.0, "es": 0.25}
MODEL = "base"  # tiny.en knows one language
PAUSE_S = 0.7
ORDER = ((JFK, "en"), (SPANISH, "es"), (NARRATIVE, "en"))


@pytest.fixture(scope="module")
def recording() -> tuple[bytes, list[float]]:
    """English, Spanish, English with pauses, and where each ends, in seconds."""
    pause = np.zeros(int(PAUSE_S * SAMPLE_RATE_HZ), np.float32)
    pieces = [np.concatenate([load_mono_16k(clip.path), pause]) for clip, _ in ORDER]
    file = io.BytesIO()
    soundfile.write(file, np.concatenate(pieces), SAMPLE_RATE_HZ, format="FLAC")
    return file.getvalue(), list(np.cumsum([len(piece) for piece in pieces]) / SAMPLE_RATE_HZ)


@pytest_asyncio.fixture
async def base(client: Client) -> None:
    """The model is in the cache of the stack, and its processor has announced it."""
    await asyncio.to_thread(model_for, "openai-whisper", MODEL)

    async def announced() -> bool:
        async with client.http.get("/v1/models") as answer:
            return MODEL in [model["id"] for model in (await answer.json())["data"]]

    await until(announced, timeout_s=30)


def errors(clip: Clip, segments: list[dict[str, Any]]) -> float:
    """Return the word error rate of segments."""
    text = " ".join(segment["text"] for segment in segments)
    return float(wer(" ".join(words_of(clip.text)), " ".join(words_of(text))))


@pytest.mark.usefixtures("base")
@pytest.mark.parametrize(
    "options",
    [{"languages": "en,es", "language_confidence": 1}, {"language_confidence": 0.5}],
    ids=["named", "detected"],
)
async def test_each_segment_has_its_language(
    client: Client, recording: tuple[bytes, list[float]], options: dict[str, Any]
) -> None:
    audio, ends_s = recording
    job_id = await client.submit(audio, model=MODEL, denoise=False, **options)
    job, transcript = await client.ended(job_id), await client.transcript(job_id)

    assert (job["status"], job["error"]) == ("COMPLETED", None)
    assert transcript["language"] == "en"  # of most of the text
    for (clip, language), begin_s, end_s in zip(ORDER, [0.0, *ends_s], ends_s, strict=False):
        segments = [one for one in transcript["segments"] if begin_s <= (one["start"] + one["end"]) / 2 < end_s]
        assert {one["language"] for one in segments} == {language}
        assert all(begin_s <= one["start"] < one["end"] <= end_s for one in segments)
        assert errors(clip, segments) <= MOST_ERRORS[language]

    assert job["warnings"] == transcript["warnings"]
    unsure = [one for one in transcript["segments"] if one["language_probability"] < options["language_confidence"]]
    assert {one["code"] for one in job["warnings"]} == ({"language_unsure"} if unsure else set())
    assert bool(unsure) == (options["language_confidence"] == 1)
    for segment in unsure:
        about = [one for one in job["warnings"] if one["start"] <= segment["start"] and segment["end"] <= one["end"]]
        assert [f"Probabilities: {segment['language']} " in one["message"] for one in about] == [True]
