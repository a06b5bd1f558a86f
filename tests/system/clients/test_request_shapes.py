"""Requests in the shapes of clients that are not installed here, from their public code or from notes about them.

Each row says what a client puts into its form, in its order, and what it reads from the answer. docs/clients.md names
the clients. They are sent as bytes, since client libraries write other forms than these.
"""

from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import aiohttp
import msgspec
import numpy as np
import pytest
import soundfile

from tests.support.clients.programs import job_ids
from tests.support.clients.spoken import says_the_clip
from tests.system.clients.conftest import NewClip

pytestmark = pytest.mark.process
TRANSCRIPTIONS = "/v1/audio/transcriptions"
AZURE = "/openai/deployments/speech/audio/transcriptions?api-version=2024-06-01"
BEARER = {"Authorization": "Bearer any"}


class File(NamedTuple):
    """Where the file is in the form, and how it is named."""

    filename: str | None
    content_type: str | None = None


Part = tuple[str, str | File]


class Shape(NamedTuple):
    parts: tuple[Part, ...]
    reads: str = "text"  # what the client takes from the answer
    path: str = TRANSCRIPTIONS
    headers: dict[str, str] = BEARER


SHAPES = {
    "Open WebUI": Shape((("model", "whisper-1"), ("language", "en"), ("file", File(f"{uuid4()}.wav")))),
    "Open WebUI, again without a language": Shape((("model", ""), ("file", File(f"{uuid4()}.wav")))),
    "LibreChat": Shape((("file", File("audio.webm")), ("model", "whisper-1"), ("language", "en"))),
    "LibreChat with Azure": Shape(
        (("file", File("audio.wav", "audio/wav")), ("language", "en")), path=AZURE, headers={"api-key": "any"}
    ),
    "n8n": Shape(
        (
            ("model", "whisper-1"),
            ("language", "en"),
            ("temperature", "0.2"),
            ("file", File("data.mp3", "audio/mpeg")),
        )
    ),
    "LiteLLM, without brackets": Shape(
        (
            ("model", "whisper-1"),
            ("response_format", "verbose_json"),
            ("timestamp_granularities", "word"),
            ("file", File("audio.wav", "audio/wav")),
        ),
        reads="words",
    ),
    "an SDK, both granularities": Shape(
        (
            ("model", "whisper-1"),
            ("response_format", "verbose_json"),
            ("timestamp_granularities[]", "word"),
            ("timestamp_granularities[]", "segment"),
            ("file", File("upload", "application/octet-stream")),
        ),
        reads="words segments",
    ),
    "SubtitleEdit": Shape(
        (
            ("model", "whisper-1"),
            ("response_format", "verbose_json"),
            ("timestamp_granularities[]", "segment"),
            ("language", "en"),
            ("prompt", ""),
            ("temperature", "0"),
            ("file", File("film.wav", "audio/wav")),
        ),
        reads="segments",
    ),
    "Speakr": Shape(
        (
            ("model", "gpt-4o-transcribe-diarize"),
            ("language", "en"),
            ("chunking_strategy", "auto"),
            ("response_format", "diarized_json"),
            ("known_speaker_names[]", "A"),
            ("known_speaker_references[]", "data:audio/wav;base64,UklGRg=="),
            ("file", File("talk.wav", "audio/wav")),
        ),
        reads="speakers",
    ),
    "Vercel AI SDK": Shape(
        (("model", "gpt-4o-mini-transcribe"), ("file", File("audio.wav", "audio/wav")), ("include[]", "logprobs"))
    ),
    "Nextcloud": Shape(
        (("model", "Systran/faster-whisper-large-v3"), ("file", File("file.mp3")), ("response_format", "verbose_json")),
        reads="segments",
    ),
    "an object, and fields of other servers": Shape(
        (
            ("file", File("a.wav")),
            ("chunking_strategy[type]", "server_vad"),
            ("chunking_strategy[threshold]", "0.5"),
            ("vad_filter", "true"),
            ("hotwords", "Zoë"),
            ("user", "42"),
            ("model", "whisper-1"),
        )
    ),
}


def form_of(parts: tuple[Part, ...], audio: bytes) -> tuple[bytes, dict[str, str]]:
    boundary = uuid4().hex
    pieces = [_part(name, content, audio) for name, content in parts]
    body = b"".join(b"--%b\r\n%b\r\n" % (boundary.encode(), piece) for piece in pieces)
    return body + f"--{boundary}--\r\n".encode(), {"Content-Type": f"multipart/form-data; boundary={boundary}"}


def _part(name: str, content: str | File, audio: bytes) -> bytes:
    disposition = f'Content-Disposition: form-data; name="{name}"'
    if isinstance(content, str):
        return f"{disposition}\r\n\r\n{content}".encode()
    named = f'; filename="{content.filename}"' if content.filename else ""
    typed = f"\r\nContent-Type: {content.content_type}" if content.content_type else ""
    return f"{disposition}{named}{typed}\r\n\r\n".encode() + audio


def read_as(wanted: str, body: Any) -> str:
    """Return the text in what the client reads."""
    match wanted:
        case "text":
            return str(body["text"])
        case "words":
            return " ".join(word["word"] for word in body["words"])
        case "segments":
            return " ".join(segment["text"] for segment in body["segments"])
        case _:
            return " ".join(segment["text"] for segment in body["segments"] if segment["speaker"] == "A")


@pytest.mark.parametrize("client", SHAPES)
async def test_a_client_finds_what_it_reads(http: aiohttp.ClientSession, new_clip: NewClip, client: str) -> None:
    shape = SHAPES[client]
    body, headers = form_of(shape.parts, new_clip().read_bytes())
    async with http.post(shape.path, data=body, headers=shape.headers | headers) as answer:
        text = await answer.text()
        assert (answer.status, answer.content_type) == (200, "application/json"), text
        answer_body = msgspec.json.decode(text)
        assert all(says_the_clip(read_as(wanted, answer_body)) for wanted in shape.reads.split()), text
        assert answer.headers["Headrace-Job-Id"] in await job_ids(http)


async def test_silence_is_an_empty_text(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """LibreChat takes it for an error; the transcript of the job says why it is empty."""
    silent = tmp_path / "silence.wav"
    soundfile.write(silent, np.zeros(32_000), 16_000)
    body, headers = form_of(SHAPES["LibreChat"].parts, silent.read_bytes())
    async with http.post(TRANSCRIPTIONS, data=body, headers=BEARER | headers) as answer:
        assert (await answer.json())["text"] == ""
        job_id = answer.headers["Headrace-Job-Id"]
    async with http.get(f"/v1/jobs/{job_id}") as answer:
        assert [warning["code"] for warning in (await answer.json())["warnings"]] == ["no_speech"]


@pytest.mark.parametrize(
    "path", ["/asr?task=transcribe&language=en&output=srt&encode=false", "/detect-language?encode=false"]
)
async def test_bazarr_sends_samples_alone(http: aiohttp.ClientSession, new_clip: NewClip, path: str) -> None:
    """The bytes have the field's name as their file name, and no type."""
    samples, rate_hz = soundfile.read(new_clip(), dtype="int16")
    assert rate_hz == 16_000
    body, headers = form_of((("audio_file", File("audio_file")),), samples.astype("<i2").tobytes())
    async with http.post(path, data=body, headers=headers) as answer:
        text = await answer.text()
        assert answer.status == 200, text
    if "output=srt" in path:
        lines = [line for line in text.splitlines() if line and not line[0].isdigit()]
        assert says_the_clip(" ".join(lines))
    else:
        found = msgspec.json.decode(text)
        assert (found["language_code"], found["detected_language"]) == ("en", "english")


async def test_speakr_asks_asr_for_speakers(http: aiohttp.ClientSession, new_clip: NewClip) -> None:
    query = "encode=true&task=transcribe&output=json&diarize=true&enable_diarization=true&min_speakers=1&hotwords=a"
    body, headers = form_of((("audio_file", File("talk.wav", "audio/wav")),), new_clip().read_bytes())
    async with http.post(f"/asr?{query}", data=body, headers=headers) as answer:
        found = msgspec.json.decode(await answer.text())
    assert found["language"] == "en"
    assert says_the_clip(" ".join(segment["text"] for segment in found["segments"]))
