"""Requests as bytes on a socket: what no client library would send."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.support.ingest.serving import Ingest

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def head(*headers: str, line: str = "POST /v1/jobs HTTP/1.1") -> bytes:
    return "\r\n".join([line, "Host: x", *headers, "", ""]).encode("latin-1")


@asynccontextmanager
async def connected(ingest: Ingest) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection(*ingest.address)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def until_closed(reader: asyncio.StreamReader) -> bytes:
    """Return all bytes until the other side closes the connection."""
    answer = bytearray()
    async with asyncio.timeout(20):
        with suppress(ConnectionResetError):
            while piece := await reader.read(1 << 20):
                answer += piece
    return bytes(answer)


async def exchange(ingest: Ingest, *pieces: bytes) -> bytes:
    """Send all bytes. Return the answer until the connection is closed."""
    async with connected(ingest) as (reader, writer):
        for piece in pieces:
            writer.write(piece)
        return await until_closed(reader)
