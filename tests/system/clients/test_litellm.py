"""LiteLLM as a proxy in front: programs that speak OpenAI's API to it reach Headrace."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import pytest_asyncio

from deploy.local.ports import free_port
from tests.support.clients.environments import ready_environment
from tests.support.clients.programs import cut_before_first_answer, job_ids, running
from tests.support.clients.spoken import says_the_clip
from tests.support.stack.launched import Launched
from tests.system.clients.conftest import NewClip

pytestmark = [pytest.mark.process, pytest.mark.slow]
KEY = "sk-proxy"


@asynccontextmanager
async def proxy_to(url: str, folder: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """Run the proxy with a model `speech` that is Headrace's `whisper-1`."""
    environment, port = ready_environment("litellm"), free_port()
    parameters = {"model": "openai/whisper-1", "api_base": f"{url}/v1", "api_key": "any"}
    model = {"model_name": "speech", "litellm_params": parameters, "model_info": {"mode": "audio_transcription"}}
    settings = {"model_list": [model], "general_settings": {"master_key": KEY}}
    config = folder / "config.yaml"
    config.write_bytes(msgspec.json.encode(settings))  # JSON is YAML
    command: list[str | Path] = [
        environment.folder / "bin" / "litellm",
        "--config",
        config,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    unreachable = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}
    async with (
        running(command, folder / "proxy.log", port, **unreachable),
        aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {KEY}"}) as session,
    ):
        yield session


@pytest_asyncio.fixture(scope="module")
async def proxy(stack: Launched, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[aiohttp.ClientSession]:
    async with proxy_to(stack.url, tmp_path_factory.mktemp("litellm")) as session:
        yield session


def form_of(clip: Path, *fields: tuple[str, str]) -> aiohttp.FormData:
    form = aiohttp.FormData()
    for name, value in (("model", "speech"), *fields):
        form.add_field(name, value)
    form.add_field("file", clip.read_bytes(), filename=clip.name, content_type="audio/wav")
    return form


async def post(session: aiohttp.ClientSession, clip: Path, *fields: tuple[str, str]) -> tuple[int, Any]:
    async with session.post("/v1/audio/transcriptions", data=form_of(clip, *fields)) as answer:
        text = await answer.text()
        return answer.status, msgspec.json.decode(text) if answer.content_type == "application/json" else text


async def test_a_file_is_transcribed(proxy: aiohttp.ClientSession, new_clip: NewClip) -> None:
    status, answer = await post(proxy, new_clip(), ("language", "en"))
    assert status == 200, answer
    assert says_the_clip(answer["text"])


@pytest.mark.parametrize("name", ["json", "text", "srt", "vtt", "verbose_json"])
async def test_each_format(proxy: aiohttp.ClientSession, new_clip: NewClip, name: str) -> None:
    status, answer = await post(proxy, new_clip(), ("response_format", name))
    assert status == 200, answer
    text = answer if isinstance(answer, str) else answer["text"]  # the proxy wraps text as JSON
    assert says_the_clip(text) or name in {"srt", "vtt"}
    assert ("-->" in text) == (name in {"srt", "vtt"})


@pytest.mark.parametrize("name", ["timestamp_granularities[]", "timestamp_granularities"])
async def test_granularities_arrive_however_the_proxy_spells_them(
    proxy: aiohttp.ClientSession, new_clip: NewClip, name: str
) -> None:
    status, answer = await post(proxy, new_clip(), ("response_format", "verbose_json"), (name, "word"))
    assert status == 200, answer
    assert says_the_clip(answer["text"])


async def test_errors_pass_through(proxy: aiohttp.ClientSession, new_clip: NewClip) -> None:
    status, answer = await post(proxy, new_clip(), ("response_format", "docx"))
    assert status == 400, answer
    assert "response_format" in answer["error"]["message"]


async def test_a_retry_after_a_cut_attaches(
    stack: Launched, new_clip: NewClip, tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    before = await job_ids(http)
    async with cut_before_first_answer(stack.url) as url, proxy_to(url, tmp_path) as session:
        status, answer = await post(session, new_clip())
    assert status == 200, answer
    assert says_the_clip(answer["text"])
    assert len(await job_ids(http) - before) == 1
