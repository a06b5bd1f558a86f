"""A hostile tenant: a program that attacks an ingest with one API key, for a while and at bounded rates.

It reads its Target from standard input as JSON, and prints the number of each status by attack. It is a process of its
own with low priority, so that what an attacker computes does not slow the client that is measured.
"""

import asyncio
import contextlib
import os
import random
import socket
import sys
import tempfile
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec

from deploy.local.ports import LOOPBACK
from tests.support.audio.amplified import repeating_mov
from tests.tools.chaos.send import BROKEN, PART_TYPE, VERSION
from tests.tools.chaos.sounds import SHORT_S, padded, speech_wav

MEBIBYTE = 1 << 20
ANSWER_WITHIN_S = 60.0
NICENESS = 10
ONCE_S = 3600.0  # longer than a run

MOV_CHANNELS, MOV_REPEATS = 8, 1500  # 140 kB, which are 4 minutes of noise and 190 MB
SLOW_BYTES, SLOW_PAUSE_S = 500, 0.1
SLOW_LENGTH = 3_600_000  # twelve minutes
UPLOAD_BYTES = 1200 * MEBIBYTE  # declared; seven exceed QUOTA_BYTES
FIRST_BYTES = 64 << 10  # of them are sent
QUOTA_BYTES = 8192 * MEBIBYTE  # of a day; the files of the other attacks fit beside six uploads
DIGESTS = 550
DIGESTED_BYTES = 8 * MEBIBYTE
METADATA_BYTES = (250_000, 15_000)  # above and below the limit
SMALL_METADATA_BYTES = 10_000
LIST_PIECE, LIST_PAUSE_S = 16 << 10, 0.25


class Target(msgspec.Struct, kw_only=True):
    """The ingest to attack. `long_job_id` is a job of the tenant with a very long transcript."""

    url: str
    key: str
    long_job_id: str
    seconds: float
    seed: int


class Attacker:
    """The tools of the attacks."""

    def __init__(self, target: Target, http: aiohttp.ClientSession, source_url: str, mov: bytes) -> None:
        self.target = target
        self.rng = random.Random(target.seed)
        self.mov = mov
        self.speech = speech_wav(SHORT_S)
        self.digested = padded(self.speech, DIGESTED_BYTES)
        self._http = http
        self._source_url = source_url

    async def ask(self, method: str, path: str, **how: Any) -> str:
        """Send a request and read its whole answer. Return the status."""
        async with self._http.request(method, self.target.url + path, **how) as answer:
            await answer.read()
            return str(answer.status)

    async def submit_url(self, path: str, metadata: str = "") -> str:
        return await self.ask("POST", "/v1/jobs", json={"audio_url": self._source_url + path, "metadata": metadata})


async def repeat_a_chunk(attacker: Attacker) -> str:
    """Upload a small file that decodes to very much noise."""
    headers = {"Content-Type": "video/quicktime"}
    return await attacker.ask("POST", "/v1/jobs?denoise=false", data=attacker.mov, headers=headers)


async def name_a_slow_source(attacker: Attacker) -> str:
    return await attacker.submit_url("/slow")


async def reserve_too_much(attacker: Attacker) -> str:
    """Create a resumable upload of which a few exceed the quota."""
    headers = {"Upload-Length": str(UPLOAD_BYTES), "Upload-Metadata": _tus_metadata()} | PART_TYPE | VERSION
    return await attacker.ask("POST", "/v1/uploads", data=attacker.digested[:FIRST_BYTES], headers=headers)


async def open_an_upload(attacker: Attacker) -> str:
    """Create a resumable upload of unknown length, and send nothing."""
    headers = {"Upload-Defer-Length": "1", "Upload-Metadata": _tus_metadata()} | VERSION
    return await attacker.ask("POST", "/v1/uploads", headers=headers)


async def name_many_digests(attacker: Attacker) -> str:
    """Upload with many wrong digests of one algorithm."""
    digest = f"sha-256=:{b64encode(bytes(32)).decode()}:"
    headers = {"Content-Type": "audio/wav", "Content-Digest": ", ".join([digest] * DIGESTS)}
    return await attacker.ask("POST", "/v1/jobs", data=attacker.digested, headers=headers)


async def render(attacker: Attacker) -> str:
    """Ask for the long transcript as subtitles. Various widths defeat a cache."""
    path = f"/v1/jobs/{attacker.target.long_job_id}/transcript?format=srt&max_chars={attacker.rng.randint(20, 80)}"
    return await attacker.ask("GET", path)


async def store_metadata(attacker: Attacker) -> str:
    """Submit a job that fails at once and keeps large metadata."""
    return await attacker.submit_url("/missing", "x" * attacker.rng.choice(METADATA_BYTES))


async def read_a_list_slowly(attacker: Attacker) -> str:
    """Read the largest page at 64 kB/s, with little room in the receive buffer."""
    url = urlsplit(attacker.target.url)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LIST_PIECE)
        connection.settimeout(0)
        await asyncio.get_running_loop().sock_connect(connection, (url.hostname, url.port))
        reader, writer = await asyncio.open_connection(sock=connection.dup(), limit=LIST_PIECE)
    try:
        head = (
            f"GET /v1/jobs?limit=200 HTTP/1.1\r\nHost: {url.netloc}\r\nAuthorization: Bearer {attacker.target.key}\r\n"
        )
        writer.write(f"{head}Connection: close\r\n\r\n".encode())
        status = (await reader.readline()).decode().split(" ")[1]
        while await reader.read(LIST_PIECE):  # noqa: ASYNC110 - a slow reader
            await asyncio.sleep(LIST_PAUSE_S)
        return status
    finally:
        writer.transport.abort()


def _tus_metadata() -> str:
    return f"metadata {b64encode(msgspec.json.encode('x' * SMALL_METADATA_BYTES)).decode()}"


class Attack(msgspec.Struct, frozen=True, kw_only=True):
    """`at_once` clients, each of which repeats a request `every_s` seconds after its answer."""

    one: Callable[[Attacker], Awaitable[str]]
    at_once: int = 1
    every_s: float


ATTACKS = (
    Attack(one=repeat_a_chunk, every_s=6),
    Attack(one=name_a_slow_source, at_once=6, every_s=ONCE_S),  # more than there are slots, fewer than may be fetched
    Attack(one=reserve_too_much, every_s=1),
    Attack(one=open_an_upload, every_s=0.1),
    Attack(one=name_many_digests, every_s=5),
    Attack(one=render, at_once=16, every_s=1),
    Attack(one=store_metadata, every_s=0.4),
    Attack(one=read_a_list_slowly, at_once=20, every_s=1),
)


async def attack(target: Target) -> dict[str, Counter[str]]:
    """Run all attacks at once until the time is up. Return the statuses by attack."""
    statuses: dict[str, Counter[str]] = {one.one.__name__: Counter() for one in ATTACKS}
    async with _ready(target) as attacker:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(target.seconds), asyncio.TaskGroup() as group:
                for kind in ATTACKS:
                    for _ in range(kind.at_once):
                        group.create_task(_repeat(kind, attacker, statuses[kind.one.__name__]))
    return statuses


async def _repeat(kind: Attack, attacker: Attacker, statuses: Counter[str]) -> None:
    while True:
        try:
            statuses[await kind.one(attacker)] += 1
        except (*BROKEN, IndexError):  # IndexError: closed before a status
            statuses["broken"] += 1
        await asyncio.sleep(kind.every_s)


@contextlib.asynccontextmanager
async def _ready(target: Target) -> AsyncIterator[Attacker]:
    headers = {"Authorization": f"Bearer {target.key}"}
    timeout, connector = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S), aiohttp.TCPConnector(limit=0)
    sources = await asyncio.start_server(_serve_source, LOOPBACK, 0)
    port = sources.sockets[0].getsockname()[1]
    try:
        async with aiohttp.ClientSession(headers=headers, timeout=timeout, connector=connector) as http:
            yield Attacker(target, http, f"http://{LOOPBACK}:{port}", _mov())
    finally:
        sources.close()  # the process ends without waiting for its connections


async def _serve_source(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve a source at 5,000 bytes a second; nothing at `/missing`. Cancelled when the program ends."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
        head = await reader.readuntil(b"\r\n\r\n")
        if b"/missing" in head:
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        else:
            await _trickle(writer)
    writer.close()


async def _trickle(writer: asyncio.StreamWriter) -> None:
    writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\nContent-Length: {SLOW_LENGTH}\r\n\r\n".encode())
    writer.write(speech_wav(SHORT_S)[:44])
    for _ in range(SLOW_LENGTH // SLOW_BYTES - 1):
        writer.write(bytes(SLOW_BYTES))
        await writer.drain()
        await asyncio.sleep(SLOW_PAUSE_S)


def _mov() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "mov")
        repeating_mov(path, repeats=MOV_REPEATS, channels=MOV_CHANNELS)
        return path.read_bytes()


if __name__ == "__main__":
    os.nice(NICENESS)
    statuses = asyncio.run(attack(msgspec.json.decode(sys.stdin.buffer.read(), type=Target)))
    sys.stdout.buffer.write(msgspec.json.encode(statuses))
