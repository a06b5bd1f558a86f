"""OpenAI's own Python library: a recording of 35 minutes, and a hundred requests at once."""

import asyncio
from pathlib import Path

import pytest
from jiwer import wer
from openai import AsyncOpenAI

from tests.support.acceptance.client import words_of
from tests.support.acceptance.long_audio import write_long_audio
from tests.support.clips import JFK
from tests.support.stack.launched import Launched

pytestmark = pytest.mark.slow


async def test_thirty_five_minutes_are_one_request(stack: Launched, tmp_path: Path) -> None:
    """It takes longer than 25 s, so that the answer begins with blanks. The library's timeout is the usual one."""
    path = tmp_path / "long.flac"
    texts = write_long_audio(path, duration_s=35 * 60)

    async with AsyncOpenAI(base_url=f"{stack.url}/v1", api_key="sk-any", max_retries=0) as library:
        answer = await library.audio.transcriptions.with_raw_response.create(file=path, model="whisper-1")

    text = answer.parse().text
    assert answer.content.startswith(b" ")
    error_rate = wer(" ".join(words_of(" ".join(texts))), " ".join(words_of(text)))
    print(f"35 minutes: {answer.elapsed.total_seconds():.0f} s, word error rate {error_rate:.3f}")
    assert error_rate < 0.1


async def test_a_hundred_requests_at_once_are_answered(stack: Launched) -> None:
    """Each has a prompt of its own, and so a job of its own."""
    async with AsyncOpenAI(base_url=f"{stack.url}/v1", api_key="sk-any", max_retries=0) as library:
        create = library.audio.transcriptions.with_raw_response.create
        answers = await asyncio.gather(
            *(create(file=JFK.path, model="whisper-1", prompt=f"Request {number}.") for number in range(100))
        )

    assert len({answer.headers["Headrace-Job-Id"] for answer in answers}) == 100
    rates = [wer(" ".join(words_of(JFK.text)), " ".join(words_of(answer.parse().text))) for answer in answers]
    print(f"100 at once: largest word error rate {max(rates):.3f}")
    assert max(rates) <= 0.2
