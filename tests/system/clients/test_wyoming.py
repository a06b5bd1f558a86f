"""The bridge wyoming-openai, by which Home Assistant uses Headrace."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from deploy.local.ports import free_port
from tests.support.clients.environments import FILES, ready_environment
from tests.support.clients.programs import answer_of, cut_before_first_answer, job_ids, running
from tests.support.clients.spoken import says_the_clip
from tests.support.stack.launched import Launched
from tests.system.clients.conftest import NewClip

pytestmark = [pytest.mark.process, pytest.mark.slow]
MODELS = ("whisper-1", "gpt-4o-transcribe")  # the second one is streamed


class Bridge:
    """A running bridge."""

    def __init__(self, uri: str) -> None:
        self.uri = uri

    async def transcribed(self, file: Path, model: str) -> dict[str, Any]:
        environment = ready_environment("wyoming")
        order = {"uri": self.uri, "file": str(file), "model": model, "language": "en"}
        return await answer_of([environment.python, FILES / "wyoming_client.py"], order)


@asynccontextmanager
async def bridge_to(url: str, folder: Path) -> AsyncIterator[Bridge]:
    environment, port = ready_environment("wyoming"), free_port()
    uri = f"tcp://127.0.0.1:{port}"
    options = ["--uri", uri, "--stt-openai-url", f"{url}/v1", "--stt-openai-key", "any", "--stt-models", MODELS[0]]
    command: list[str | Path] = [
        environment.python,
        "-m",
        "wyoming_openai",
        *options,
        "--stt-streaming-models",
        MODELS[1],
    ]
    async with running(command, folder / "bridge.log", port):
        yield Bridge(uri)


@pytest.mark.parametrize("model", MODELS)
async def test_speech_is_transcribed(stack: Launched, new_clip: NewClip, tmp_path: Path, model: str) -> None:
    async with bridge_to(stack.url, tmp_path) as bridge:
        found = await bridge.transcribed(new_clip(), model)
    assert set(MODELS) <= set(found["models"])
    assert says_the_clip(found["text"])
    assert bool(found["chunks"]) == (model == MODELS[1])


async def test_a_retry_after_a_cut_attaches(
    stack: Launched, new_clip: NewClip, tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    before = await job_ids(http)
    async with cut_before_first_answer(stack.url) as url, bridge_to(url, tmp_path) as bridge:
        found = await bridge.transcribed(new_clip(), MODELS[0])
    assert says_the_clip(found["text"])
    assert len(await job_ids(http) - before) == 1
