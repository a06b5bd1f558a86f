"""Azurite, Microsoft's Azure Storage server for development, from npm, on loopback."""

import os
import shutil
import signal
import subprocess
from asyncio.subprocess import Process
from pathlib import Path

import aiohttp
import pytest

from deploy.local.ports import LOOPBACK, free_port
from deploy.local.processes import Processes
from deploy.local.terminal import LocalStackError, explain
from tests.support.storage.container import ACCOUNT, ACCOUNT_KEY, Container

PACKAGES = Path(__file__).with_name("azurite_js")
PROGRAM = "node_modules/azurite/dist/src/blob/main.js"
INSTALL_TIMEOUT_S = 180
QUIETLY = ("--disableTelemetry", "--silent", "--skipApiVersionCheck", "--disableProductStyleUrl")


class Azurite:
    """A server with its data in `folder` and its packages from `installed`."""

    name = "azurite"
    stop_signal = signal.SIGKILL

    def __init__(self, packages: Path, folder: Path, processes: Processes) -> None:
        self._packages = packages
        self._folder = folder
        self._processes = processes
        self._log = folder.with_name(folder.name + ".log")
        self.port = free_port()

    @property
    def url(self) -> str:
        """Return the endpoint of the account."""
        return f"http://{LOOPBACK}:{self.port}/{ACCOUNT}"

    async def prepare(self) -> None:
        self._folder.mkdir()

    async def start(self) -> Process:
        here = ("--blobHost", LOOPBACK, "--blobPort", str(self.port), "--location", str(self._folder))
        with self._log.open("wb") as log:
            return await self._processes.start(
                ["node", self._packages / PROGRAM, *here, *QUIETLY],
                output=log,
                env={**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{ACCOUNT_KEY}"},
            )

    async def answers(self) -> bool:
        """Return whether it accepts our credentials."""
        try:
            return await Container(self.url, "ready", "").make()
        except aiohttp.ClientError:
            return False

    def failure(self) -> LocalStackError:
        text = self._log.read_text(errors="replace") if self._log.exists() else ""
        return explain("Azurite did not start", text, self._folder.parent)


def installed(cache: Path) -> Path:
    """Return the folder of its packages, installed once from the lock file. Skip the test if that fails."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("Azurite needs Node.js and npm, which are not installed")
    shutil.copytree(PACKAGES, cache, dirs_exist_ok=True)
    if not (cache / PROGRAM).exists():
        npm = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(npm, cwd=cache, timeout=INSTALL_TIMEOUT_S, check=False, capture_output=True)
        if done.returncode:
            pytest.skip("cannot install Azurite: npm reaches no registry")
    return cache
