"""Requests to OpenAI's audio API, as its clients send them."""

import asyncio
import io
from typing import Any, NamedTuple

import aiohttp
import msgspec

from tests.support.ingest.serving import Ingest
from tests.support.ingest.sounds import wav
from tests.support.ingest.waiting_jobs import complete, new_job

TRANSCRIPTIONS, TRANSLATIONS = "/v1/audio/transcriptions", "/v1/audio/translations"
AZURE = "/openai/deployments/whisper-1/audio/transcriptions?api-version=2024-06-01"


class Answered(NamedTuple):
    status: int
    headers: Any
    text: str

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.json.decode(self.text)["error"]
        return found


def form(*fields: tuple[str, str], file: bytes | None = None, name: str = "file") -> aiohttp.FormData:
    """The audio in front, as Node's clients send it."""
    data = aiohttp.FormData()
    data.add_field(name, io.BytesIO(wav() if file is None else file), filename="clip.wav")
    for field, value in fields:
        data.add_field(field, value)
    return data


async def ask(ingest: Ingest, *fields: tuple[str, str], path: str = TRANSCRIPTIONS, **options: Any) -> Answered:
    async with ingest.client.post(ingest.url + path, data=form(*fields), **options) as answer:
        return Answered(answer.status, answer.headers, await answer.text())


async def answered(ingest: Ingest, *fields: tuple[str, str], **options: Any) -> Answered:
    """Ask, complete the job, and return the answer."""
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(ask(ingest, *fields, **options))
        await complete(ingest, await new_job(ingest))
    return asking.result()
