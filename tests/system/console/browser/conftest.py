"""A Chromium, two running pairs, and pages that fail their test if the browser complains."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from ingest_service.settings import IngestSettings
from shared.secret import Secret
from tests.support.console.chromium import chromium
from tests.support.console.service import SETTINGS, Service
from tests.support.console.watch import Watch
from tests.support.ingest.api_keys import bearer
from tests.support.stack.launched import Launched
from tests.support.summaries.chat import Chat

TENANT = "acme"
TIMEOUT_MS = 30_000

Open = Callable[..., Awaitable[Page]]


@pytest_asyncio.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as launched:
        yield launched


@pytest_asyncio.fixture(scope="session")
async def chat() -> AsyncIterator[Chat]:
    """The chat provider of the pair with a scripted engine."""
    async with Chat().listening() as chat:
        yield chat


@pytest_asyncio.fixture(scope="session")
async def service(browser: Browser, tmp_path_factory: pytest.TempPathFactory, chat: Chat) -> AsyncIterator[Service]:
    """A pair whose engine says one word a second. Its folder of the engine takes the files of UNLESS."""
    assert browser  # without one, the tests are skipped before the pair starts
    folder = tmp_path_factory.mktemp("console")
    (folder / "engine").mkdir()
    settings = {"HEADRACE_TRANSCRIBER": "scripted", "HEADRACE_MODEL": str(folder / "engine")}
    launched = Launched(folder / "data", environ=SETTINGS | settings | chat.environ)
    async with launched.ready():
        yield Service(launched, folder / "engine")


@pytest_asyncio.fixture(scope="session")
async def speech_service(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """A pair with a real model."""
    assert browser
    settings = {"HEADRACE_MODEL": "tiny.en"}
    launched = Launched(tmp_path_factory.mktemp("speech") / "data", environ=SETTINGS | settings)
    async with launched.ready():
        yield Service(launched)


@pytest.fixture
def settings(service_database_url: str, redis_url: str, storage_url: str) -> IngestSettings:
    """Of an ingest without a processor, in the tests' own process."""
    return IngestSettings(
        database_url=Secret(service_database_url),
        redis_url=Secret(redis_url),
        storage_url=storage_url,
        auth="none",
        ingest_processes=1,
    )


class Watched:
    """Opens pages, each with a browser's profile of its own, and judges them."""

    def __init__(self, browser: Browser, opened: AsyncExitStack) -> None:
        self._browser = browser
        self._opened = opened
        self.watches: list[Watch] = []

    async def open(self, url: str, path: str = "/", *, key: str = "", **options: Any) -> Page:
        """Open a page of the console at `url`, signed in by a key. `options`: of the browser's context."""
        options = {"locale": "en-GB", "timezone_id": "Europe/Berlin", **options}
        context = await self._browser.new_context(**options)
        self._opened.push_async_callback(context.close)
        watch = Watch(url)
        await watch.attach(context)
        self.watches.append(watch)
        context.set_default_timeout(TIMEOUT_MS)
        page = await context.new_page()
        if key:
            answer = await context.request.post(f"{url}/v1/session", headers=bearer(key))
            assert answer.status == 201, await answer.text()
        await page.goto(url + path)
        return page

    @property
    def watch(self) -> Watch:
        """Of the last page."""
        return self.watches[-1]


@pytest_asyncio.fixture
async def watched(browser: Browser) -> AsyncIterator[Watched]:
    async with AsyncExitStack() as opened:
        watched = Watched(browser, opened)
        yield watched
    faults = [fault for watch in watched.watches for fault in watch.faults]
    assert not faults, "\n".join(faults)
