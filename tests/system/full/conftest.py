"""The stack with default settings, except the model (tiny.en), and two processors with one slot each."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.support.acceptance.client import Client
from tests.support.stack.launched import ROOT, Launched

CORPUS = ROOT.parent / "shared/audio"


@pytest_asyncio.fixture(scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Launched]:
    environ = {"PROCESSORS": "2", "HEADRACE_MODEL": "tiny.en"}
    async with (launched := Launched(tmp_path_factory.mktemp("stack"), environ=environ)).ready():
        async with aiohttp.ClientSession(launched.url) as http:
            clip = Client(http)
            await clip.ended(await clip.submit(ROOT / "deploy/local/jfk.flac"))  # warm-up
        yield launched


@pytest_asyncio.fixture
async def client(stack: Launched) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession(stack.url, timeout=aiohttp.ClientTimeout(total=None)) as http:
        yield Client(http)


@pytest.fixture
def corpus() -> Path:
    if not CORPUS.is_dir():
        pytest.skip(f"the larger corpus is missing: expected {CORPUS.name}/ in shared/ beside the repository")
    return CORPUS
