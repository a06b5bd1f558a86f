"""A piece of audio and one request for it to a provider on loopback; the compute children of tests/compute."""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
import pytest_asyncio
import soundfile

from processor_service.errors import TaskError
from processor_service.providers.openai_api import OpenAIApi
from processor_service.providers.plan_pieces import Piece
from processor_service.providers.post_audio import open_session
from shared.schemas.options import JobOptions
from shared.schemas.transcript import Transcript
from tests.support.providers.provider import settings_for
from tests.support.webhooks.endpoint import Endpoint, Script
from tests.system.compute.conftest import model, scratch, started

__all__ = ["fail", "http", "model", "piece", "recognize", "scratch", "started"]  # fixtures

PIECE_S = 4.0

Recognize = Callable[..., Coroutine[Any, Any, Transcript]]
Fail = Callable[..., Awaitable[TaskError]]


@pytest_asyncio.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_session() as session:
        yield session


@pytest.fixture
def piece(tmp_path: Path) -> Piece:
    path = tmp_path / "piece.flac"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(int(PIECE_S * 16_000)), 16_000)
    return Piece(path=str(path), spans=((0.0, PIECE_S),))


@pytest.fixture
def recognize(http: aiohttp.ClientSession, piece: Piece) -> Recognize:
    """Have a provider transcribe the piece."""

    async def recognize_one(endpoint: Endpoint, options: JobOptions | None = None, **settings: Any) -> Transcript:
        api = OpenAIApi(settings_for(endpoint, **settings), http)
        (transcript,) = await api.transcribe([piece], options or JobOptions(), lambda _: None)
        return transcript

    return recognize_one


@pytest.fixture
def fail(recognize: Recognize) -> Fail:
    """The error when a provider follows a script."""

    async def fail_one(script: Script, **settings: Any) -> TaskError:
        async with Endpoint(script).listening() as endpoint:
            with pytest.raises(TaskError) as raised:
                await recognize(endpoint, **settings)
            return raised.value

    return fail_one
