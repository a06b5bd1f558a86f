"""A tus client that sends exactly the given headers and bytes; and an incomplete request on a raw socket."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp

from shared.blobs import blob_keys
from tests.support.ingest.serving import Ingest

VERSION = {"Tus-Resumable": "1.0.0"}
OFFSET_TYPE = "application/offset+octet-stream"


class Answer(NamedTuple):
    """An answer; `code` is the problem's code, if it is a problem."""

    status: int
    headers: Mapping[str, str]
    body: dict[str, Any]

    @property
    def code(self) -> Any:
        return self.body.get("code")

    @property
    def offset(self) -> int:
        return int(self.headers["Upload-Offset"])


class Tus:
    """Requests to one ingest."""

    def __init__(self, client: aiohttp.ClientSession, url: str) -> None:
        self._client = client
        self.url = url

    @classmethod
    def to(cls, ingest: Ingest) -> "Tus":
        return cls(ingest.client, ingest.url)

    async def request(self, method: str, path: str, data: Any = None, **headers: str) -> Answer:
        named = VERSION | {name.replace("_", "-"): value for name, value in headers.items()}
        if data is not None:
            named.setdefault("Content-Type", OFFSET_TYPE)
        async with self._client.request(method, self.url + path, data=data, headers=named) as answer:
            is_problem = answer.content_type == "application/problem+json" and method != "HEAD"
            return Answer(answer.status, answer.headers, await answer.json(content_type=None) if is_problem else {})

    async def create(self, length: int | None, data: Any = None, **headers: str) -> Answer:
        of_length = {"Upload_Defer_Length": "1"} if length is None else {"Upload_Length": str(length)}
        return await self.request("POST", "/v1/uploads", data, **of_length, **headers)

    async def created(self, length: int | None, **headers: str) -> str:
        """The path of a new upload."""
        answer = await self.create(length, **headers)
        assert answer.status == 201, answer
        return answer.headers["Location"]

    async def patch(self, path: str, offset: int, data: Any, **headers: str) -> Answer:
        return await self.request("PATCH", path, data, Upload_Offset=str(offset), **headers)

    async def head(self, path: str) -> Answer:
        return await self.request("HEAD", path)


def metadata(**values: str | bytes) -> str:
    pairs = ((name, value.encode() if isinstance(value, str) else value) for name, value in values.items())
    return ",".join(f"{name} {base64.b64encode(value).decode()}" for name, value in pairs)


def checksum(algorithm: str, data: bytes) -> str:
    return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, data).digest()).decode()}"


@asynccontextmanager
async def half_sent(url: str, path: str, offset: int, length: int, body: bytes) -> AsyncIterator[asyncio.StreamWriter]:
    """A PATCH that declares `length` bytes and sends only `body`."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = (
        f"PATCH {path} HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nContent-Type: {OFFSET_TYPE}\r\n"
        f"Upload-Offset: {offset}\r\nContent-Length: {length}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    await writer.drain()
    writer.reader = reader  # type: ignore[attr-defined] # to read the answer
    try:
        yield writer
    finally:
        writer.transport.abort()


async def assert_is_job(ingest: Ingest, answer: Answer, audio: bytes) -> Any:
    """Assert that the answer names one complete, committed job with its task; return its row."""
    (job,) = await ingest.sql("SELECT * FROM jobs")
    assert answer.headers["Headrace-Job-Id"] == str(job["id"])
    assert answer.headers["Content-Location"] == f"/v1/jobs/{job['id']}"
    assert (job["source_bytes"], job["source_sha256"]) == (len(audio), hashlib.sha256(audio).hexdigest())
    assert await ingest.blobs.get(blob_keys.source(job["id"])) == audio
    (task,) = await ingest.sql("SELECT * FROM tasks")
    assert (task["job_id"], task["kind"], task["state"]) == (job["id"], "prepare", "dispatched")
    return job


def parts_left(ingest: Ingest) -> list[str]:
    return [str(path) for path in ingest.stored_files() if "/uploads/" in str(path)]


@asynccontextmanager
async def breaking_after(count: int, url: str) -> AsyncIterator[str]:
    """A proxy whose connection breaks once, after `count` bytes; later connections work."""
    parts = urlsplit(url)
    passed = 0

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counts: bool) -> None:
        nonlocal passed
        while piece := await reader.read(1 << 16):
            before, passed = passed, passed + counts * len(piece)
            if before < count <= passed:
                raise ConnectionAbortedError
            writer.write(piece)
            await writer.drain()
        writer.transport.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(parts.hostname, parts.port)
        ways = [
            asyncio.create_task(pump(reader, back, counts=True)),
            asyncio.create_task(pump(there, writer, counts=False)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_EXCEPTION)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        writer.transport.abort()
        back.transport.abort()

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()
