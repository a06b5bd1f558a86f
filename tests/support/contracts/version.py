"""Run the two services of a version of the code from its folder."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec

from deploy.local.ports import free_port
from tests.support.acceptance.client import Client
from tests.support.ingest.serving import until

TIMEOUT_S = 60


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """The folder of its code and the settings of its services."""

    root: Path
    settings: Mapping[str, str]

    async def run(self, *arguments: str) -> str:
        """Run Python with these arguments and return the output. The exit status must be 0."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, cwd=self.root, env=self._environ({}), stdout=PIPE, stderr=STDOUT
        )
        output, _ = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
        assert process.returncode == 0, output.decode()
        return output.decode().strip()

    @asynccontextmanager
    async def ingest(self) -> AsyncIterator[Client]:
        """Run the ingest during a block and give a client of it."""
        port = str(free_port())
        async with (
            self._serving("ingest_service", port, {"PORT": port}),
            aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http,
        ):
            yield Client(http)

    @asynccontextmanager
    async def processor(self) -> AsyncIterator[None]:
        """Run the processor during a block."""
        port = str(free_port())
        async with self._serving("processor_service", port, {"HEALTH_PORT": port}):
            yield

    @asynccontextmanager
    async def _serving(self, module: str, port: str, settings: Mapping[str, str]) -> AsyncIterator[None]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, cwd=self.root, env=self._environ(settings)
        )
        try:
            await until(lambda: _answers(f"http://127.0.0.1:{port}/health/live"), timeout_s=TIMEOUT_S)
            yield
        finally:
            if process.returncode is None:
                process.terminate()
            await asyncio.wait_for(process.wait(), TIMEOUT_S)
        assert process.returncode == 0

    def _environ(self, settings: Mapping[str, str]) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
        ours = {f"HEADRACE_{name}": value for name, value in {**self.settings, **settings}.items()}
        return {**clean, **ours, "PYTHONPATH": str(self.root)}


async def _answers(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as http, http.get(url) as answer:
            return answer.status == 200
    except aiohttp.ClientConnectionError:
        return False
