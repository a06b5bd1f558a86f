"""A provider of the chat API on loopback: it answers as a test scripts it, from what it was asked."""

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from processor_service.summaries.chat_settings import ChatProviderSettings
from shared.schemas.transcript import Segment, Transcript
from shared.secret import Secret
from tests.support.webhooks.endpoint import Endpoint, Received, Script, answering, status

KEY = "sk-Very5ecretKeyOfAChatTest"
NUMBER = re.compile(r"^\[(\d+)\] ", re.MULTILINE)


class Chat(Endpoint):
    """A provider whose script each test sets."""

    def __init__(self) -> None:
        super().__init__(self._follow)
        self.script: Script = by_request(sensible)

    async def _follow(self, endpoint: Endpoint, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.script(endpoint, reader, writer)

    @property
    def environ(self) -> dict[str, str]:
        """The settings of a stack that asks this provider."""
        name = "HEADRACE_CHAT_PROVIDER"
        return {
            f"{name}S": "acme",
            f"{name}_ACME_URL": f"http://127.0.0.1:{self.port}/v1",
            f"{name}_ACME_MODEL": "chat-9",
            f"{name}_ACME_KEY": KEY,
            f"{name}_ACME_FAILURES": "1000",  # one test must not open the breaker of another
        }

    def begin(self, script: Script) -> None:
        """Follow another script, and forget the requests so far."""
        self.script = script
        self.received.clear()


def chat_settings(endpoint: Endpoint, name: str = "acme", **values: Any) -> ChatProviderSettings:
    chosen = {"key": Secret(KEY), "model": "chat-9", "timeout_s": 10.0, **values}
    return ChatProviderSettings(name=name, url=f"http://127.0.0.1:{endpoint.port}/v1", **chosen)


def completion(content: object, **fields: Any) -> bytes:
    """The HTTP answer with an assistant's text, or with the JSON of an object."""
    text = content if isinstance(content, str) else msgspec.json.encode(content).decode()
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
        **fields,
    }
    return status(200, "content-type: application/json", body=msgspec.json.encode(body))


def saying(content: object, **fields: Any) -> Script:
    return answering(completion(content, **fields))


def by_request(answer: Callable[[Received], bytes]) -> Script:
    """Answer each request by what it says."""

    async def script(endpoint: Endpoint, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await endpoint.send(writer, answer(endpoint.received[-1]))

    return script


def body_of(request: Received) -> dict[str, Any]:
    return dict(msgspec.json.decode(request.body))


def text_of(request: Received) -> str:
    """What the user's message of a request says."""
    return str(body_of(request)["messages"][1]["content"])


def numbers_in(request: Received) -> list[int]:
    """The numbers of the lines in a request."""
    return [int(number) for number in NUMBER.findall(text_of(request))]


def wanted_in(request: Received) -> list[str]:
    """The fields that a request asks for."""
    return re.findall(r"^- `(\w+)`:", body_of(request)["messages"][0]["content"], re.MULTILINE)


def sensible(request: Received) -> bytes:
    """Answer as a model would: a chapter at the first line and one in the middle, an action item of the last line."""
    numbers = numbers_in(request)
    chapters = sorted({numbers[0], numbers[len(numbers) // 2]})
    fields = {
        "summary": f"A talk of {len(numbers)} lines.",
        "chapters": [{"first_line": one, "title": f"Topic {one}", "summary": f"About {one}."} for one in chapters],
        "action_items": [{"text": f"Do {numbers[-1]}.", "owner": "Ann", "line": numbers[-1]}],
    }
    return completion({name: fields[name] for name in wanted_in(request)})


def transcript_of(texts: Sequence[str], *, step_s: float = 10.0, speaker: str | None = None) -> Transcript:
    """A transcript with a paragraph for each text."""
    segments = tuple(
        Segment(
            id=at,
            start=at * step_s + 1,
            end=at * step_s + step_s - 2,
            text=text,
            speaker=speaker,
            confidence=0.9,
            no_speech_prob=0.0,
        )
        for at, text in enumerate(texts)
    )
    return Transcript(text=" ".join(texts), language="en", duration=len(texts) * step_s, segments=segments)
