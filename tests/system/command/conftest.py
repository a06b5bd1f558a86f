"""A stack with the scripted engine, and the command as a process."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.support.acceptance.client import Client
from tests.support.command import Command
from tests.support.stack.launched import Launched

SETTINGS = {
    "PROCESSORS": "1",
    "HEADRACE_SLOTS": "2",
    "HEADRACE_TRANSCRIBER": "scripted",
    "HEADRACE_RETRY_WAITS_S": "0.2,0.2",
}


@pytest_asyncio.fixture(scope="session")
async def command_stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Launched]:
    launched = Launched(tmp_path_factory.mktemp("command") / "data", environ=SETTINGS)
    async with launched.ready():
        yield launched


@pytest_asyncio.fixture
async def client(command_stack: Launched) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession(command_stack.url) as http:
        yield Client(http)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder that the command runs in."""
    path = tmp_path / "audio"
    path.mkdir()
    return path


@pytest.fixture
def command(command_stack: Launched, folder: Path) -> Command:
    return Command(command_stack.url, folder)
