"""The launcher as a process of its own, as `make run` starts it, and what a test asks of it."""

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

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60


class Launched:
    """A `python -m deploy.local run` without processors, unless told otherwise."""

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
        self._environ = {**clean, **ours, **(environ or {})}

    async def start(self) -> Process:
        command = [*self._prefix, sys.executable, "-m", "deploy.local", "run"]
        return await asyncio.create_subprocess_exec(
            *command, cwd=self._root, env=self._environ, stdout=PIPE, stderr=PIPE, limit=1 << 20
        )

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[Process]:
        """Run it for the length of a block, which starts when it says that it is ready."""
        async with self.started() as process:
            line = await line_with(process, "Headrace is ready")
            self.url = line.split()[-1].removesuffix("/v1/jobs")
            yield process

    @asynccontextmanager
    async def started(self) -> AsyncIterator[Process]:
        """Run it for the length of a block, which starts at once."""
        process = await self.start()
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
            await asyncio.wait_for(process.communicate(), PATIENCE_S)

    async def refused(self) -> str:
        """Run it until it ends; it must fail with one line, which is returned."""
        process = await self.start()
        _, errors = await asyncio.wait_for(process.communicate(), PATIENCE_S)
        lines = errors.decode().splitlines()
        assert process.returncode == 1, lines
        assert len(lines) == 1, lines
        return lines[0]

    def settings(self) -> dict[str, str]:
        return read_stack_env(self.data_dir.stack_env)

    def pids(self) -> dict[str, int]:
        return {path.stem: int(path.read_text()) for path in self.data_dir.run.glob("*.pid")}


async def line_with(process: Process, words: str) -> str:
    """The next line of a process' output that holds these words."""
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        async for line in process.stdout:
            if words.encode() in line:
                return line.decode()
    assert process.stderr is not None
    raise AssertionError((await process.stderr.read()).decode())


async def stopped(process: Process, number: signal.Signals = signal.SIGTERM) -> int:
    """Stop it by a signal; its exit status."""
    process.send_signal(number)
    await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode is not None
    return process.returncode


def descendants(pid: int) -> set[int]:
    """All processes that a process has started, directly or not."""
    children = [int(stat.parent.name) for stat in Path("/proc").glob("[0-9]*/stat") if _parent(stat) == pid]
    return {*children, *(each for child in children for each in descendants(child))}


def alive(pids: set[int]) -> set[int]:
    """Those of the processes that run; a zombie does not."""
    return {pid for pid in pids if _state(Path(f"/proc/{pid}/stat")) not in ("", "Z", "X")}


async def until(condition: Callable[[], bool]) -> None:
    """Return when something has come about that another process does."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - no event of ours tells of it
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
