"""A client of a job's event stream, like an EventSource."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp
import msgspec

from tests.support.ingest.serving import Ingest

TIMEOUT_S = 20


class Event(NamedTuple):
    id: str
    data: dict[str, Any]

    @property
    def seen(self) -> tuple[str, str, float]:
        return self.data["status"], self.data["stage"], self.data["progress"]


class Stream:
    """The events of one answer. Other blocks, such as comments, are kept separately."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer
        self.others: list[str] = []

    async def next(self) -> Event:
        """Return the next event. Raise EOFError at the end of the stream."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                fields = await self._block()
                if "data" in fields:
                    return Event(fields["id"], msgspec.json.decode(fields["data"]))

    async def other(self) -> str:
        """Return the next block that is not an event."""
        async with asyncio.timeout(TIMEOUT_S):
            while not self.others:
                await self._block()
        return self.others.pop(0)

    async def ends(self) -> None:
        """Assert that the stream ends here."""
        async with asyncio.timeout(TIMEOUT_S):
            assert await self.answer.content.read() == b""

    async def _block(self) -> dict[str, str]:
        block = (await self.answer.content.readuntil(b"\n\n")).decode()
        if not block:
            raise EOFError
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "data" not in fields:
            self.others.append(block)
        return fields


@asynccontextmanager
async def following(
    ingest: Ingest,
    job_id: str,
    last_event_id: str | None = None,
    key: str | None = None,
    headers: dict[str, str] | None = None,
) -> AsyncIterator[Stream]:
    headers = {**(headers or {}), **({"Last-Event-ID": last_event_id} if last_event_id else {})}
    headers |= {"X-API-Key": key} if key else {}
    async with ingest.client.get(f"{ingest.url}/v1/jobs/{job_id}/events", headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        yield Stream(answer)
