"""Runs a contender's server during a block."""

import asyncio
import os
import signal
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.support.stack.launched import ROOT
from tests.tools.benchmarks.ingest.contenders import HOST, Contender, ServerConfig

READY_WITHIN_S = 60.0
GONE_WITHIN_S = 45.0
PROBE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class ServerFailedError(Exception):
    """A server did not start, or exited; the message is the end of its log."""


@asynccontextmanager
async def serving(contender: Contender, config: ServerConfig, log: Path) -> AsyncIterator[Process]:
    """Yield the process when it answers. Its output goes to the file `log`, as in production."""
    command, environ = contender.command(config), contender.environment(config)
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, env=environ, stdout=output, stderr=output, start_new_session=True
        )
    try:
        await _until_ready(process, config.port, log)
        yield process
        if process.returncode is not None:
            raise ServerFailedError(log_tail(log))
    finally:
        await _end(process)


def log_tail(log: Path) -> str:
    return log.read_text(errors="replace")[-1500:]


async def _until_ready(process: Process, port: int, log: Path) -> None:
    deadline_s = time.monotonic() + READY_WITHIN_S
    while not await _answers(port):
        if process.returncode is not None or time.monotonic() > deadline_s:
            raise ServerFailedError(log_tail(log))
        await asyncio.sleep(0.05)


async def _answers(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    try:
        writer.write(PROBE)
        return (await reader.readline()).startswith(b"HTTP/1.1")
    except OSError:
        return False
    finally:
        writer.close()


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), GONE_WITHIN_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
