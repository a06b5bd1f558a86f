"""Run client programs, and cut a connection before its answer."""

import asyncio
import os
import signal
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec

TIMEOUT_S = 120
# What the programs get of our environment: no proxy, no key of OpenAI's.
KEPT = {"PATH", "HOME", "LANG", "TMPDIR"}


def environment_of(**changes: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name in KEPT} | changes


async def output_of(command: Sequence[str | Path], **environment: str) -> bytes:
    """Run a program to its end. Return its output. Assert that it succeeds."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command), env=environment_of(**environment), stdout=PIPE, stderr=PIPE
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, err.decode()
    return out


async def answer_of(command: Sequence[str | Path], order: Mapping[str, Any], **environment: str) -> dict[str, Any]:
    """Run a program that takes and prints a JSON object."""
    out = await output_of([*command, msgspec.json.encode(order).decode()], **environment)
    found: dict[str, Any] = msgspec.json.decode(out.strip().splitlines()[-1])
    return found


@asynccontextmanager
async def running(command: Sequence[str | Path], log: Path, port: int, **environment: str) -> AsyncIterator[None]:
    """Run a server during a block, which begins when the server listens on the port of loopback."""
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *map(str, command), env=environment_of(**environment), stdout=output, stderr=output, start_new_session=True
        )
    try:
        async with asyncio.timeout(TIMEOUT_S):
            while not await _listens(port):
                assert process.returncode is None, log.read_text()[-3000:]  # noqa: ASYNC240 - a small local file
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        await asyncio.sleep(0.1)  # the server is another program: there is no event
        return False
    writer.close()
    return True


@asynccontextmanager
async def cut_before_first_answer(url: str) -> AsyncIterator[str]:
    """A relay whose first connection that sends a form breaks when its answer begins; others work."""
    parts = urlsplit(url)
    is_cut = False

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: list[bytes]) -> None:
        while piece := await reader.read(1 << 16):
            sent.append(piece[:4])
            writer.write(piece)
            await writer.drain()
        writer.write_eof()

    async def back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: list[bytes]) -> None:
        nonlocal is_cut
        while piece := await reader.read(1 << 16):
            if not is_cut and b"POST" in sent and not piece.startswith(b"HTTP/1.1 100"):
                is_cut = True
                raise ConnectionAbortedError
            writer.write(piece)
            await writer.drain()
        writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream = await asyncio.open_connection(parts.hostname, parts.port)
        sent: list[bytes] = []
        ways = [
            asyncio.create_task(forward(reader, upstream, sent)),
            asyncio.create_task(back(upstream_reader, writer, sent)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_EXCEPTION)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        writer.transport.abort()
        upstream.transport.abort()

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()
    assert is_cut


async def job_ids(http: aiohttp.ClientSession) -> set[str]:
    """The newest jobs of the stack."""
    async with http.get("/v1/jobs", params={"limit": "100"}) as answer:
        return {job["job_id"] for job in (await answer.json())["jobs"]}
