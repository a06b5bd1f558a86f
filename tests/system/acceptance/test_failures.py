"""Each failure has a stable code in the job, in the webhook and in the dead letter."""

import io
import json
from typing import Any

import numpy as np
import pytest
import soundfile
from redis.asyncio import Redis

from shared.schemas.failures import DEAD_LETTER_LIST
from tests.support.acceptance.client import Client, Receiver
from tests.support.clips import JFK
from tests.support.ingest.serving import until
from tests.support.stack.launched import Launched


def wav(samples: np.ndarray[Any, Any], rate_hz: int = 16_000, form: str = "WAV") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, format=form, subtype="PCM_16")
    return buffer.getvalue()


async def test_undecodable_audio_fails_once_and_is_a_dead_letter(
    client: Client, receiver: Receiver, stack: Launched, damaged_mp4: bytes
) -> None:
    job_id = await client.submit(damaged_mp4, webhook_url=receiver.url)

    job = await client.ended(job_id)

    assert (job["status"], job["error"]["code"], job["attempts"]) == ("FAILED", "undecodable_audio", 1)
    event = await receiver.event()
    assert (event["type"], event["data"]["error"]) == ("job.failed", job["error"])
    async with Redis.from_url(stack.settings()["HEADRACE_REDIS_URL"]) as redis:
        letters = [json.loads(letter) for letter in await redis.lrange(DEAD_LETTER_LIST, 0, -1)]
    (letter,) = [letter for letter in letters if letter["job_id"] == job_id]
    assert (letter["code"], letter["task_kind"], letter["attempts"]) == ("undecodable_audio", "prepare", 1)
    assert "Traceback" in letter["traceback"]


@pytest.mark.parametrize(
    ("audio", "code"),
    [
        pytest.param(wav(np.zeros(0), form="AIFF"), "empty_audio", id="no samples"),
        pytest.param(wav(np.zeros(700 * 8000), 8000), "audio_too_long", id="too long"),
        pytest.param(wav(np.zeros(1000), 1000), "unsupported_audio", id="1 kHz"),
    ],
)
async def test_unprocessable_audio_has_a_failure_code(client: Client, audio: bytes, code: str) -> None:
    job = await client.ended(await client.submit(audio))

    assert (job["status"], job["error"]["code"]) == ("FAILED", code)
    assert len(job["error"]["message"]) > 20


@pytest.mark.parametrize(
    "samples",
    [
        pytest.param(np.zeros(5 * 16_000), id="digital silence"),
        pytest.param(np.random.default_rng(1).normal(0, 0.05, 5 * 16_000), id="white noise"),
        pytest.param(0.3 * np.sin(np.arange(5 * 16_000) * 2 * np.pi * 50 / 16_000), id="mains hum"),
    ],
)
async def test_silence_is_a_result_with_a_warning(client: Client, samples: np.ndarray[Any, Any]) -> None:
    job_id = await client.submit(wav(samples))

    job = await client.ended(job_id)

    assert job["status"] == "COMPLETED"
    assert [warning["code"] for warning in job["warnings"]] == ["no_speech"]
    assert (await client.transcript(job_id))["text"] == ""


async def test_a_missing_model_is_named(client: Client) -> None:
    async def announced() -> bool:
        async with client.http.get("/v1/models") as answer:
            return "tiny.en" in [model["id"] for model in (await answer.json())["data"]]

    await until(announced)
    status, problem = await client.try_submit(JFK.path, model="medium")

    assert (status, problem["code"]) == (400, "model_unavailable")
    assert "`medium`" in problem["detail"]
    assert "`tiny.en`" in problem["detail"]


async def test_an_upload_that_is_not_audio_is_refused_at_once(client: Client) -> None:
    status, problem = await client.try_submit(b"<html>502 Bad Gateway</html>")

    assert (status, problem["code"]) == (415, "unsupported_media")
    assert problem["detail"].startswith("Invalid format. ")
