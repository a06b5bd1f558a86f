"""The two services as the local stack runs them: how each is started, what each needs first, when each is ready."""

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import Mapping
from urllib.parse import urlsplit

from deploy.local.processes import Processes
from deploy.local.servers import LOOK_EVERY_S
from deploy.local.settings import LOCAL_ENGINES, base_url
from deploy.local.terminal import LocalStackError
from shared.settings import PREFIX

READY_WITHIN_S = 60.0


async def start_service(processes: Processes, module: str, settings: Mapping[str, str]) -> Process:
    """Start `python -m module`; it writes to the terminal."""
    return await processes.start([sys.executable, "-m", module], env=_environ(settings))


def _environ(settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of this process, with the settings in force in place of its `HEADRACE_*` variables."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)} | dict(settings)


async def prepare_model(processes: Processes, settings: Mapping[str, str]) -> None:
    """Fetch and verify the model before a processor asks for it; raises LocalStackError."""
    if settings["HEADRACE_TRANSCRIBER"] not in LOCAL_ENGINES:
        return
    command = [sys.executable, "-m", "processor_service.models", settings["HEADRACE_MODEL"]]
    process = await processes.start(command, env=_environ(settings))
    try:
        if await process.wait() != 0:
            raise LocalStackError(f"The model {settings['HEADRACE_MODEL']} could not be prepared; see the line above.")
    finally:
        await processes.bury(process)


async def wait_until_live(settings: Mapping[str, str], ingest: Process) -> None:
    """Return when the ingest service answers; raises LocalStackError when it ends before."""
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            while not await _is_live(base_url(settings)):
                if ingest.returncode is not None:
                    raise LocalStackError("The ingest service did not start; see its message above.")
                await asyncio.sleep(LOOK_EVERY_S)
    except TimeoutError:
        raise LocalStackError(f"The ingest service did not answer within {READY_WITHIN_S:.0f} s.") from None


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
