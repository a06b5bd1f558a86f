"""A Wyoming client, as Home Assistant is one, run in the environment `wyoming`.

It gets one JSON object as argument and prints one.
"""

import asyncio
import json
import sys
import wave
from typing import Any

from wyoming.asr import Transcribe, Transcript, TranscriptChunk
from wyoming.audio import wav_to_chunks
from wyoming.client import AsyncClient
from wyoming.error import Error
from wyoming.info import Describe, Info

SAMPLES_PER_CHUNK = 1024


async def main(order: dict[str, Any]) -> dict[str, Any]:
    """Ask for the models, then transcribe a WAV file."""
    async with AsyncClient.from_uri(order["uri"]) as client:
        await client.write_event(Describe().event())
        models = await _models(client)
        await client.write_event(Transcribe(name=order["model"], language=order.get("language")).event())
        with wave.open(order["file"]) as file:
            for event in wav_to_chunks(file, SAMPLES_PER_CHUNK, start_event=True, stop_event=True):
                await client.write_event(event.event())
        return {"models": models, **await _transcript(client)}


async def _models(client: AsyncClient) -> list[str]:
    while event := await client.read_event():
        if Info.is_type(event.type):
            return [model.name for program in Info.from_event(event).asr for model in program.models]
    return []


async def _transcript(client: AsyncClient) -> dict[str, Any]:
    chunks: list[str] = []
    while event := await client.read_event():
        if TranscriptChunk.is_type(event.type):
            chunks.append(TranscriptChunk.from_event(event).text)
        elif Transcript.is_type(event.type):
            return {"chunks": chunks, "text": Transcript.from_event(event).text}
        elif Error.is_type(event.type):
            return {"chunks": chunks, "error": Error.from_event(event).text}
    return {"chunks": chunks, "error": "the connection ended"}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(json.loads(sys.argv[1])))))
