"""An image without a container engine: its packages installed into a clean folder, its commands run as it says.

What is not ours comes from the tests' own environment. As root, on Linux, the file system is read-only but for one
folder, and the commands run as nobody, as in a container with a read-only root.
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
from tests.deployables.dockerfile import Dockerfile

READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro / && exec "$@"'
IN_THE_IMAGE = "/opt/headrace/bin"
WRITABLE = ("/tmp", "/scratch")  # noqa: S108 - in the image, where the Dockerfile has mounts for them
PATIENCE_S = 90


class Unpacked:
    """One image; `room` is the only folder to which it can write."""

    def __init__(self, dockerfile: Dockerfile, folder: Path, room: Path) -> None:
        self.dockerfile = dockerfile
        self.packages = folder / "packages"
        self._clean = folder / "clean"
        self._room = room

    def build(self) -> None:
        """What the build stage does with our own code."""
        source = self.packages.with_name("source")
        self.dockerfile.copy_context(source)
        options = ["--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
        pip = [sys.executable, "-m", "pip", "install", *options, "--target", str(self.packages), str(source)]
        subprocess.run(pip, check=True, env={**os.environ, "PIP_ROOT_USER_ACTION": "ignore"})
        self._clean.mkdir()
        for name in WRITABLE:
            (self._room / name.strip("/")).mkdir(exist_ok=True)
            give_to_nobody(self._room / name.strip("/"))

    def environ(self, settings: Mapping[str, str]) -> dict[str, str]:
        """The image's, with its folders where they are here, and the settings of a container."""
        environ = {**self.dockerfile.environ, **settings}
        for name in WRITABLE:
            places = {key: str(self._room / name.strip("/")) for key, value in environ.items() if value == name}
            environ |= places
        here = str(Path(sys.executable).parent)
        path = environ["PATH"].replace(IN_THE_IMAGE, here)
        temporary = str(self._room / "tmp")
        return environ | {"PATH": path, "PYTHONPATH": str(self.packages), "TMPDIR": temporary}

    async def start(self, command: Sequence[str], settings: Mapping[str, str], output: Path | None = None) -> Process:
        """Start a command of the image, in a clean folder; what it says goes to a pipe or a file."""
        contained = [*read_only_but(self._room), *as_nobody(), *command]
        with (output or Path(os.devnull)).open("ab") as file:
            return await asyncio.create_subprocess_exec(
                *contained,
                cwd=self._clean,
                env=self.environ(settings),
                stdout=file if output else PIPE,
                stderr=STDOUT,
            )

    async def run(self, command: Sequence[str], settings: Mapping[str, str]) -> tuple[int, str]:
        """Run one to its end: its exit status and what it said."""
        process = await self.start(command, settings)
        said, _ = await asyncio.wait_for(process.communicate(), PATIENCE_S)
        assert process.returncode is not None
        return process.returncode, said.decode()

    @asynccontextmanager
    async def running(self, settings: Mapping[str, str], port: tuple[str, str], log: Path) -> AsyncIterator[Process]:
        """The image's own command, healthy by its own health check; `port`: the one it names, and the one used here."""
        health = [word.replace(*port) for word in self.dockerfile.health_command]
        process = await self.start(self.dockerfile.command, settings, log)
        try:
            async with asyncio.timeout(PATIENCE_S):
                while (await self.run(health, settings))[0] and process.returncode is None:  # noqa: ASYNC110 - a probe
                    await asyncio.sleep(0.2)  # each check is a process of its own
            assert process.returncode is None, await asyncio.to_thread(log.read_text)
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


@cache
def can_contain() -> bool:
    """Whether this machine lets us have a file system of our own."""
    if not (is_root() and sys.platform == "linux"):
        return False
    probe = ["unshare", "--mount", "--propagation", "private", "true"]
    return subprocess.run(probe, check=False, capture_output=True).returncode == 0


def read_only_but(room: Path) -> list[str]:
    """What to put before a command so that it can write to a folder and nowhere else; nothing where that cannot be."""
    if not can_contain():
        return []
    return ["unshare", "--mount", "--propagation", "private", "--", "sh", "-c", READ_ONLY, str(room)]
