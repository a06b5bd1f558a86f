"""LangChain's parsers of audio: one sends MP3 that it makes itself, one sends the file to Azure's path."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.clients.environments import FILES, ready_environment
from tests.support.clients.programs import answer_of, cut_before_first_answer, job_ids
from tests.support.clients.spoken import says_the_clip
from tests.support.stack.launched import Launched
from tests.system.clients.conftest import NewClip

pytestmark = [pytest.mark.process, pytest.mark.slow]
PARSERS = ("openai", "azure")


async def parsed(url: str, file: Path, parser: str, **options: Any) -> dict[str, Any]:
    environment = ready_environment("langchain")
    order = {"url": url, "file": str(file), "parser": parser, "options": options}
    return await answer_of([environment.python, FILES / "langchain_client.py"], order)


@pytest.mark.parametrize("parser", PARSERS)
async def test_a_file_becomes_a_document(stack: Launched, new_clip: NewClip, parser: str) -> None:
    (text,) = (await parsed(stack.url, new_clip(), parser, language="en"))["texts"]
    assert says_the_clip(text)


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("name", ["text", "srt", "vtt", "verbose_json"])
async def test_each_format(stack: Launched, new_clip: NewClip, parser: str, name: str) -> None:
    (text,) = (await parsed(stack.url, new_clip(), parser, response_format=name))["texts"]
    starts = {"srt": "1\n00:00:0", "vtt": "WEBVTT\n"}
    assert text.startswith(starts[name]) if name in starts else says_the_clip(text)


@pytest.mark.parametrize("parser", PARSERS)
async def test_a_retry_after_a_cut_attaches(
    stack: Launched, new_clip: NewClip, parser: str, http: aiohttp.ClientSession
) -> None:
    before = await job_ids(http)
    async with cut_before_first_answer(stack.url) as url:
        (text,) = (await parsed(url, new_clip(), parser))["texts"]
    assert says_the_clip(text)
    assert len(await job_ids(http) - before) == 1


async def test_an_error_names_the_parameter(stack: Launched, new_clip: NewClip) -> None:
    found = await parsed(stack.url, new_clip(), "azure", response_format="docx")
    assert found["error"] == "BadRequestError"
    assert "response_format" in found["message"]
