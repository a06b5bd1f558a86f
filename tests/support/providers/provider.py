"""A provider of the transcription API on loopback, based on the endpoint of the webhook tests."""

import asyncio
import email
import email.policy
from collections.abc import Sequence
from email.message import EmailMessage
from typing import Any

import msgspec

from processor_service.providers.provider_settings import ProviderSettings
from shared.secret import Secret
from tests.support.webhooks.endpoint import Endpoint, Received, Script, answering, status

KEY = "sk-Very5ecretKeyOfATest"


def settings_for(endpoint: Endpoint, name: str = "acme", **values: Any) -> ProviderSettings:
    chosen = {"key": Secret(KEY), "model": "whisper-9", "timeout_s": 10.0, **values}
    return ProviderSettings(name=name, url=f"http://127.0.0.1:{endpoint.port}/v1", **chosen)


def in_turn(*scripts: Script) -> Script:
    """The first request gets the first script, and so on."""
    remaining = iter(scripts)

    async def script(endpoint: Endpoint, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await next(remaining)(endpoint, reader, writer)

    return script


def transcribing(*words: str, **fields: Any) -> Script:
    """Answer with these words, one each half second."""
    return answering(
        status(200, "content-type: application/json", body=msgspec.json.encode(verbose_answer(words, **fields)))
    )


def verbose_answer(words: Sequence[str], /, **fields: Any) -> dict[str, Any]:
    """A verbose answer: as from OpenAI, whose words have no punctuation and no probability."""
    text = f"{' '.join(words).capitalize()}."
    length_s = len(words) / 2
    segment = {"id": 0, "seek": 0, "start": 0.0, "end": length_s, "text": f" {text}", "avg_logprob": -0.1}
    answer = {
        "task": "transcribe",
        "language": "english",
        "duration": length_s,
        "text": text,
        "segments": [{**segment, "tokens": [1, 2], "temperature": 0.0, "no_speech_prob": 0.02}],
        "words": [{"word": word, "start": at / 2, "end": at / 2 + 0.4} for at, word in enumerate(words)],
    }
    return {**answer, **fields}


def form_of(request: Received) -> list[tuple[str, bytes]]:
    """The fields of a multipart request, in order."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + request.body, EmailMessage, policy=email.policy.HTTP)
    return [
        (str(part.get_param("name", header="content-disposition")), _content(part)) for part in message.iter_parts()
    ]


def _content(part: Any) -> bytes:
    content: bytes = part.get_payload(decode=True)
    return content
