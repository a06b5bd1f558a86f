"""A watcher that is killed between any two of its effects leaves what the next one completes: one job, all outputs."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.command.api import Api, opened_api
from deploy.command.retries import FOREVER
from deploy.command.watcher.journal import Journal
from deploy.command.watcher.one_file import Aim, Worker
from deploy.command.watcher.places import Place, open_place
from shared.secret import Secret
from tests.support.acceptance.client import Client
from tests.support.ingest.sounds import wav
from tests.support.stack.launched import Launched

pytestmark = pytest.mark.process

AIM = Aim(formats=("srt", "json"), options={"denoise": "false"}, done_folder="done")
WRITES = frozenset({"put", "create", "remove", "move"})


class Killed(BaseException):
    """The process ends here."""


class Fate:
    """Ends the work at its n-th effect: just before it, or just after it."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.is_over = False

    def step(self) -> None:
        if self.is_over or self.left == 0:
            self.is_over = True
            raise Killed
        self.left -= 1


class MortalPlace:
    """A place in front of a real one."""

    def __init__(self, place: Place, fate: Fate) -> None:
        self._place, self._fate = place, fate

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._place, name)
        if name not in WRITES:
            return real

        async def effect(*arguments: Any) -> Any:
            self._fate.step()
            result = await real(*arguments)
            self._fate.step()
            return result

        return effect


class MortalTransport(httpx.AsyncBaseTransport):
    """The connections of the client, with an end before a request is sent or before its answer is read."""

    def __init__(self, real: httpx.AsyncBaseTransport, fate: Fate) -> None:
        self._real, self._fate = real, fate

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return await self._real.handle_async_request(request)
        self._fate.step()
        response = await self._real.handle_async_request(request)
        await response.aread()
        self._fate.step()
        return response


@pytest.fixture
async def api(command_stack: Launched) -> AsyncIterator[Api]:
    async with opened_api(command_stack.url, Secret(""), retries=FOREVER, note=print) as opened:
        yield opened


async def attempt(api: Api, folder: Path, fate: Fate) -> None:
    """Work on the one file of the folder like a new process."""
    real = api.http._transport
    place: Any = MortalPlace(open_place(str(folder), excluded="done"), fate)
    api.http._transport = MortalTransport(real, fate)
    try:
        for entry in await place.scan():
            await Worker(api, place, place, Journal(place, place.name), AIM).process(entry)
    finally:
        api.http._transport = real


async def test_each_end_is_continued(api: Api, client: Client, tmp_path: Path) -> None:
    ends = 0
    while True:
        folder = tmp_path / str(ends)
        folder.mkdir()
        name = f"killed {ends}.wav"
        (folder / name).write_bytes(wav(4000 + ends))
        fate = Fate(ends)
        try:
            await attempt(api, folder, fate)
        except Killed:
            await attempt(api, folder, Fate(1000))

        written = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        stem = f"killed {ends}"
        assert {each for each in written if not each.startswith(".headrace/")} == {
            f"{stem}.srt",
            f"{stem}.json",
            f"done/{name}",
        }
        query = {"metadata_key": "path", "metadata_value": name}
        async with client.http.get("/v1/jobs", params=query) as response:
            assert len((await response.json())["jobs"]) == 1, ends
        ends += 1
        if not fate.is_over:
            break
    assert ends > 15
