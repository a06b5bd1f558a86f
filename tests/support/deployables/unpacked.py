"""An image without a container engine: its packages in a clean folder, its commands run unchanged.

Third-party packages come from the tests' environment. As root on Linux, the commands run as the user `nobody` in a file
system that is read-only except one folder, as in a container with a read-only root.
"""

import asyncio
import os
import subprocess
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

from deploy.local.unprivileged import as_nobody, give_to_nobody, is_root
from tests.support.deployables.dockerfile import Dockerfile

READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro / && exec "$@"'
IN_THE_IMAGE = "/opt/headrace/bin"
WRITABLE = ("/tmp", "/scratch")  # noqa: S108 - paths in the image, where the Dockerfile mounts them
TIMEOUT_S = 90


class Unpacked:
    """One image. `writable` is the only folder that it can write to."""

    def __init__(self, dockerfile: Dockerfile, folder: Path, writable: Path) -> None:
        self.dockerfile = dockerfile
        self.packages = folder / "packages"
        self._clean = folder / "clean"
        self._writable = writable

    def build(self) -> None:
        """Install our packages as the build stage does."""
        source = self.packages.with_name("source")
        self.dockerfile.copy_context(source)
        options = ["--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
        pip = [sys.executable, "-m", "pip", "install", *options, "--target", str(self.packages), str(source)]
        subprocess.run(pip, check=True, env={**os.environ, "PIP_ROOT_USER_ACTION": "ignore"})
        self._clean.mkdir()
        for name in WRITABLE:
            (self._writable / name.strip("/")).mkdir(exist_ok=True)
            give_to_nobody(self._writable / name.strip("/"))

    def environ(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Return the image's environment with local paths, and a container's settings."""
        environ = {**self.dockerfile.environ, **settings}
        for name in WRITABLE:
            paths = {key: str(self._writable / name.strip("/")) for key, value in environ.items() if value == name}
            environ |= paths
        here = str(Path(sys.executable).parent)
        path = environ["PATH"].replace(IN_THE_IMAGE, here)
        temporary = str(self._writable / "tmp")
        return environ | {"PATH": path, "PYTHONPATH": str(self.packages), "TMPDIR": temporary}

    async def start(self, command: Sequence[str], settings: Mapping[str, str], output: Path | None = None) -> Process:
        """Start a command of the image in a clean folder. Its output goes to a file or a pipe."""
        contained = [*read_only_but(self._writable), *as_nobody(), *command]
        with (output or Path(os.devnull)).open("ab") as file:
            return await asyncio.create_subprocess_exec(
                *contained,
                cwd=self._clean,
                env=self.environ(settings),
                stdout=file if output else PIPE,
                stderr=STDOUT,
            )

    async def run(self, command: Sequence[str], settings: Mapping[str, str]) -> tuple[int, str]:
        """Run a command to its end; return its exit status and output."""
        process = await self.start(command, settings)
        printed, _ = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
        assert process.returncode is not None
        return process.returncode, printed.decode()

    @asynccontextmanager
    async def running(self, settings: Mapping[str, str], port: tuple[str, str], log: Path) -> AsyncIterator[Process]:
        """Run the image's command; yield once its health check passes. `port`: the image's port, the port to use."""
        health = [word.replace(*port) for word in self.dockerfile.health_command]
        process = await self.start(self.dockerfile.command, settings, log)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                while (await self.run(health, settings))[0] and process.returncode is None:  # noqa: ASYNC110 - polls a health check
                    await asyncio.sleep(0.2)  # each check starts a process
            assert process.returncode is None, await asyncio.to_thread(log.read_text)
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


@cache
def can_contain() -> bool:
    """Return whether this machine allows a private mount namespace."""
    if not (is_root() and sys.platform == "linux"):
        return False
    probe = ["unshare", "--mount", "--propagation", "private", "true"]
    return subprocess.run(probe, check=False, capture_output=True).returncode == 0


def read_only_but(writable: Path) -> list[str]:
    """Return the command prefix that makes all but one folder read-only; empty where that is not possible."""
    if not can_contain():
        return []
    return ["unshare", "--mount", "--propagation", "private", "--", "sh", "-c", READ_ONLY, str(writable)]
