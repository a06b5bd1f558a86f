"""The whole stack, as `make run` starts it: real servers, both services as processes, tiny.en as the model."""

from collections.abc import AsyncIterator

import aiohttp
import asyncpg
import pytest
import pytest_asyncio

from tests.support.acceptance.client import Client, Receiver
from tests.support.stack.launched import Launched
from tests.support.summaries.chat import Chat

SETTINGS = {
    "PROCESSORS": "1",
    "HEADRACE_INGEST_PROCESSES": "2",
    "HEADRACE_SLOTS": "2",  # chunks of a file at the same time, and a job beside it
    "HEADRACE_MODEL": "tiny.en",
    # Low thresholds, so that a minute of speech is a long file.
    "HEADRACE_CHUNK_THRESHOLD_S": "45",
    "HEADRACE_CHUNK_S": "20",
    "HEADRACE_MAX_AUDIO_SECONDS": "600",
    "HEADRACE_RETRY_WAITS_S": "0.2,0.2",
    "HEADRACE_LEASE_S": "3",
    "HEADRACE_VOICES": "true",
}


@pytest_asyncio.fixture(scope="session")
async def chat() -> AsyncIterator[Chat]:
    """The chat provider of the stack."""
    async with Chat().listening() as chat:
        yield chat


@pytest_asyncio.fixture(scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory, chat: Chat) -> AsyncIterator[Launched]:
    launched = Launched(tmp_path_factory.mktemp("stack") / "data dir", environ={**SETTINGS, **chat.environ})
    async with launched.ready():
        yield launched


@pytest_asyncio.fixture
async def client(stack: Launched) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession(stack.url) as http:
        yield Client(http)


@pytest_asyncio.fixture
async def receiver(stack: Launched) -> AsyncIterator[Receiver]:
    async with Receiver(stack.settings()["HEADRACE_WEBHOOK_SECRET"]).listening() as receiver:
        yield receiver


@pytest_asyncio.fixture
async def database(stack: Launched) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(stack.settings()["HEADRACE_DATABASE_URL"])
    yield connection
    await connection.close()


@pytest.fixture
def damaged_mp4() -> bytes:
    """Return a file that starts like an MP4 and is not one."""
    return b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2" + bytes(range(256)) * 16
