"""The command `headrace` as a process."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from tests.support.stack.launched import ROOT

TIMEOUT_S = 120
CLIENT_ONLY = ("HEADRACE_", "XDG_STATE_HOME", "DATA_DIR", "PORT")


class Ended(NamedTuple):
    """A process that ended."""

    status: int
    output: str
    errors: str

    @property
    def results(self) -> list[dict[str, Any]]:
        """The JSON lines of `--json`."""
        return [msgspec.json.decode(line) for line in self.output.splitlines()]


class Command:
    """The command of one user, with a state of its own."""

    def __init__(self, url: str, folder: Path, **environ: str) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(CLIENT_ONLY)}
        ours = {"XDG_STATE_HOME": str(folder.parent / "state"), "PYTHONPATH": str(ROOT)}
        self._environ = {**kept, **ours, **({"HEADRACE_URL": url} if url else {}), **environ}
        self._folder = folder

    async def start(self, *arguments: str | Path, stderr: int = PIPE) -> Process:
        """Start it in the folder."""
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "deploy.command", *map(str, arguments)),
            cwd=self._folder,
            env=self._environ,
            stdout=PIPE,
            stderr=stderr,
            limit=1 << 20,
        )

    async def run(self, *arguments: str | Path) -> Ended:
        """Run it to its end."""
        return await ended(await self.start(*arguments))


async def ended(process: Process) -> Ended:
    """Wait for the end of a process."""
    try:
        output, errors = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    return Ended(process.returncode, output.decode(), errors.decode())


async def printed(process: Process, words: str) -> str:
    """Return the next line on standard error that contains the words."""
    assert process.stderr is not None
    async with asyncio.timeout(TIMEOUT_S):
        async for line in process.stderr:
            if words.encode() in line:
                return line.decode()
    raise AssertionError(f"it ended without {words!r}")


def files_in(folder: Path) -> list[str]:
    """Return the names of the files in a folder, also the hidden ones."""
    return sorted(path.name for path in folder.iterdir())


async def until(condition: Callable[[], Awaitable[Any]]) -> None:
    """Return when a condition that another process changes is true."""
    async with asyncio.timeout(TIMEOUT_S):
        while not await condition():  # noqa: ASYNC110 - a state of another process
            await asyncio.sleep(0.02)


class Stall:
    """A relay that passes `count` bytes to the server and then holds what comes, until it is released."""

    def __init__(self, count: int, url: str) -> None:
        self.url = ""
        self.stalled, self.released = asyncio.Event(), asyncio.Event()
        self._left = count
        self._server = urlsplit(url)
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Stall"]:
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await server.wait_closed()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._server.hostname, self._server.port)
        for way in (self._pump(reader, back, counts=True), self._pump(there, writer, counts=False)):
            task = asyncio.create_task(way)
            self._tasks.add(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counts: bool) -> None:
        try:
            while piece := await reader.read(1 << 16):
                self._left -= counts * len(piece)
                if counts and self._left < 0 and not self.released.is_set():
                    self.stalled.set()
                    await self.released.wait()
                writer.write(piece)
                await writer.drain()
        except OSError:
            pass  # one of the two ended
        finally:
            writer.transport.abort() if counts else writer.close()
