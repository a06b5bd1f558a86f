"""Renders a transcript in a process of its own, in the background, without environment: ours holds secrets.

The process is started by `subprocess`. uvloop would fork ours, and no upload proceeds meanwhile: 25 ms at 160 MB.
"""

import asyncio
import os
import subprocess
import sys
from asyncio.streams import FlowControlMixin
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec

from ingest_service.formats.render import Order
from shared.blobs.blob_facts import BlobVersion
from shared.blobs.blob_store import BlobStore

POLL_S = 0.005

Streams = tuple[asyncio.StreamWriter, asyncio.StreamReader]


async def run_render(blobs: BlobStore, blob: BlobVersion, order: Order) -> bytes:
    """Return the text of a stored transcript. Raise BlobStoreError or RuntimeError. If cancelled, kill the process."""
    encoded = msgspec.json.encode(order)
    process = subprocess.Popen(  # noqa: ASYNC220, S603 - returns after 1 ms; our own program
        [sys.executable, "-m", "ingest_service.formats", str(len(encoded))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        start_new_session=True,  # so that its low priority counts
    )
    try:
        text = await _exchange(process, encoded, blobs, blob)
    except BaseException:
        process.kill()
        raise
    finally:
        status = await asyncio.shield(_status_of(process))
    if status:
        raise RuntimeError(f"A render ended with status {status}.")
    return text


async def _status_of(process: subprocess.Popen[bytes]) -> int:
    """Return the exit status of a process that has closed its output, or is killed: it ends at once."""
    while (status := process.poll()) is None:  # noqa: ASYNC110 - Python does not report the end of a process
        await asyncio.sleep(POLL_S)
    return status


async def _exchange(process: subprocess.Popen[bytes], order: bytes, blobs: BlobStore, blob: BlobVersion) -> bytes:
    """Send the order, and the transcript in pieces; read the text, which begins when all is sent."""
    async with _streams(process) as (writer, reader):
        with suppress(BrokenPipeError, ConnectionResetError):  # its exit status says why
            writer.write(order)
            async for piece in blobs.read(blob.key, 0, blob.size):
                writer.write(piece)
                await writer.drain()
        writer.close()
        return await reader.read()


@asynccontextmanager
async def _streams(
    process: subprocess.Popen[bytes],
) -> AsyncIterator[tuple[asyncio.StreamWriter, asyncio.StreamReader]]:
    """Lend the standard input and output of a process."""
    loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()
    sending, protocol = await loop.connect_write_pipe(FlowControlMixin, process.stdin)
    receiving, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), process.stdout)
    try:
        yield asyncio.StreamWriter(sending, protocol, None, loop), reader
    finally:
        if not sending.is_closing():
            sending.abort()
        receiving.close()
