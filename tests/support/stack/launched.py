"""The launcher as a process, as `make run` starts it."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from deploy.local.data_dir import DataDir, read_stack_env
from deploy.local.ports import free_port

ROOT = Path(__file__).parents[3]
TIMEOUT_S = 60


class Launched:
    """A `python -m deploy.local run`, by default without processors and with one ingest process.

    A supervisor and a serving process for each core would take 3 s of CPU instead of 1.4 s.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        environ: Mapping[str, str] | None = None,
        root: Path = ROOT,
        prefix: Sequence[str] = (),
    ) -> None:
        self.data_dir = DataDir(data_dir)
        self.url = ""
        self._root = root
        self._prefix = prefix
        clean = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
        ours = {"PORT": str(free_port()), "DATA_DIR": str(data_dir), "PROCESSORS": "0", "PYTHONPATH": str(root)}
        ours |= {"HEADRACE_INGEST_PROCESSES": "1"}
        self._environ = {**clean, **ours, **(environ or {})}

    async def start(self) -> Process:
        command = [*self._prefix, sys.executable, "-m", "deploy.local", "run"]
        return await asyncio.create_subprocess_exec(
            *command, cwd=self._root, env=self._environ, stdout=PIPE, stderr=PIPE, limit=1 << 20
        )

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[Process]:
        """Run it during a block, which starts when the launcher prints that it is ready."""
        async with self.started() as process:
            line = await line_with(process, "Headrace is ready")
            self.url = line.split()[-1].removesuffix("/v1/jobs")
            yield process

    @asynccontextmanager
    async def started(self) -> AsyncIterator[Process]:
        """Run it during a block, which starts at once."""
        process = await self.start()
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
            await asyncio.wait_for(process.communicate(), TIMEOUT_S)

    async def refused(self) -> str:
        """Run it until it ends. Assert that it fails with one line, and return the line."""
        process = await self.start()
        _, errors = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
        lines = errors.decode().splitlines()
        assert process.returncode == 1, lines
        assert len(lines) == 1, lines
        return lines[0]

    def settings(self) -> dict[str, str]:
        return read_stack_env(self.data_dir.stack_env)

    def pids(self) -> dict[str, int]:
        return {path.stem: int(path.read_text()) for path in self.data_dir.run.glob("*.pid")}


async def line_with(process: Process, words: str) -> str:
    """Return the next line of a process' output that contains the words."""
    assert process.stdout is not None
    async with asyncio.timeout(TIMEOUT_S):
        async for line in process.stdout:
            if words.encode() in line:
                return line.decode()
    assert process.stderr is not None
    raise AssertionError((await process.stderr.read()).decode())


async def stopped(process: Process, number: signal.Signals = signal.SIGTERM) -> int:
    """Stop a process by a signal. Return its exit status."""
    process.send_signal(number)
    await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    assert process.returncode is not None
    return process.returncode


def descendants(pid: int) -> set[int]:
    """Return all direct and indirect child processes."""
    children = [int(stat.parent.name) for stat in Path("/proc").glob("[0-9]*/stat") if _parent(stat) == pid]
    return {*children, *(each for child in children for each in descendants(child))}


def alive(pids: set[int]) -> set[int]:
    """Return the processes that run; zombies do not."""
    return {pid for pid in pids if _state(Path(f"/proc/{pid}/stat")) not in ("", "Z", "X")}


async def until(condition: Callable[[], bool]) -> None:
    """Return when a condition that another process changes is true."""
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():  # noqa: ASYNC110 - another process changes it; there is no event
            await asyncio.sleep(0.02)


def _fields(stat: Path) -> list[str]:
    try:
        return stat.read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _state(stat: Path) -> str:
    return (_fields(stat) or [""])[0]


def _parent(stat: Path) -> int:
    return int((_fields(stat) or ["", "-1"])[1])
