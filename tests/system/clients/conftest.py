"""A running pair that clients use, and clips that no other test has sent."""

from collections.abc import AsyncIterator, Callable
from itertools import count
from pathlib import Path

import aiohttp
import numpy as np
import pytest
import pytest_asyncio
import soundfile

from tests.support.clips import JFK
from tests.support.stack.launched import Launched

SETTINGS = {
    "PROCESSORS": "1",
    "HEADRACE_MODEL": "tiny.en",
    "HEADRACE_ASR_ROUTES": "true",
    "HEADRACE_RETRY_WAITS_S": "0.2,0.2",
}

NewClip = Callable[[], Path]
SILENCE_STEP = 1600  # samples: a difference that also an MP3 of the clip has
_numbers = count(1)


@pytest_asyncio.fixture(scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Launched]:
    launched = Launched(tmp_path_factory.mktemp("clients") / "data", environ=SETTINGS)
    async with launched.ready():
        yield launched


@pytest_asyncio.fixture
async def http(stack: Launched) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(stack.url) as session:
        yield session


@pytest.fixture
def new_clip(tmp_path: Path) -> NewClip:
    """Make a WAV file of 11 seconds of speech. Each is another one, so that its request attaches to no other job."""

    def make() -> Path:
        samples, rate_hz = soundfile.read(JFK.path, dtype="int16")
        number = next(_numbers)
        path = tmp_path / f"clip {number}.wav"
        silence = np.zeros(number * SILENCE_STEP, np.int16)
        soundfile.write(path, np.append(samples, silence), rate_hz)
        return path

    return make
