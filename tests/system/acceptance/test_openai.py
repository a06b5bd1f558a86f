"""OpenAI's own Python library against the whole stack, with a real model."""

import asyncio
from collections.abc import AsyncIterator

import openai
import pytest
import pytest_asyncio
from jiwer import wer
from openai import AsyncOpenAI
from openai.types.audio import Transcription, TranscriptionTextDeltaEvent, TranscriptionTextDoneEvent

from tests.support.acceptance.client import Client, words_of
from tests.support.clips import JFK
from tests.support.stack.launched import Launched


@pytest_asyncio.fixture
async def library(stack: Launched) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{stack.url}/v1", api_key="sk-any") as client:
        yield client


def error_rate(text: str) -> float:
    return float(wer(" ".join(words_of(JFK.text)), " ".join(words_of(text))))


async def test_a_clip_is_transcribed(library: AsyncOpenAI, client: Client) -> None:
    answer = await library.audio.transcriptions.with_raw_response.create(file=JFK.path, model="whisper-1")

    transcription = answer.parse()
    assert isinstance(transcription, Transcription)
    assert error_rate(transcription.text) <= 0.2
    assert transcription.usage is not None
    assert transcription.usage.type == "duration"
    assert transcription.usage.seconds == pytest.approx(11.0, abs=0.01)
    job_id = answer.headers["Headrace-Job-Id"]
    assert (await client.job(job_id))["status"] == "COMPLETED"
    assert (await client.transcript(job_id))["text"] == transcription.text


async def test_each_text_format_is_a_string(library: AsyncOpenAI) -> None:
    create = library.audio.transcriptions.create
    text = await create(file=JFK.path, model="whisper-1", response_format="text")
    srt = await create(file=JFK.path, model="whisper-1", response_format="srt")
    vtt = await create(file=JFK.path, model="whisper-1", response_format="vtt")

    assert (type(text), type(srt), type(vtt)) == (str, str, str)
    assert error_rate(text) <= 0.2
    assert srt.startswith("1\n00:00:0")
    assert vtt.startswith("WEBVTT\n\n00:00:0")


async def test_verbose_json_has_segments_and_words(library: AsyncOpenAI) -> None:
    found = await library.audio.transcriptions.create(
        file=JFK.path,
        model="whisper-1",
        language="en",
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )

    assert found.language == "english"
    assert found.duration == pytest.approx(11.0, abs=0.01)
    assert found.segments
    assert found.words
    assert [words_of(word.word)[0] for word in found.words] == words_of(found.text)
    assert all(-3 < segment.avg_logprob < 0 for segment in found.segments)
    assert all(0.5 < segment.compression_ratio < 2.4 for segment in found.segments)


async def test_diarized_json_has_speakers(library: AsyncOpenAI) -> None:
    found = await library.audio.transcriptions.create(
        file=JFK.path, model="gpt-4o-transcribe-diarize", response_format="diarized_json", chunking_strategy="auto"
    )

    assert {segment.speaker for segment in found.segments} == {"A"}
    assert error_rate(" ".join(segment.text for segment in found.segments)) <= 0.2


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # the method, since the library's version 3
async def test_a_translation_is_english(library: AsyncOpenAI) -> None:
    plain = await library.audio.translations.create(file=JFK.path, model="whisper-1")
    verbose = await library.audio.translations.create(file=JFK.path, model="whisper-1", response_format="verbose_json")

    assert error_rate(plain.text) <= 0.2
    assert verbose.language == "english"
    assert verbose.segments


async def test_a_stream_ends_with_the_whole_text(library: AsyncOpenAI) -> None:
    stream = await library.audio.transcriptions.create(file=JFK.path, model="gpt-4o-transcribe", stream=True)
    events = [event async for event in stream]

    *deltas, done = events
    assert isinstance(done, TranscriptionTextDoneEvent)
    assert all(isinstance(event, TranscriptionTextDeltaEvent) for event in deltas)
    assert "".join(event.delta for event in deltas if isinstance(event, TranscriptionTextDeltaEvent)) == done.text
    assert error_rate(done.text) <= 0.2


async def test_a_damaged_file_is_a_bad_request(library: AsyncOpenAI, damaged_mp4: bytes) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await library.audio.transcriptions.create(file=("film.mp4", damaged_mp4), model="whisper-1")
    assert caught.value.code == "undecodable_audio"
    with pytest.raises(openai.APIStatusError) as refused:
        await library.audio.transcriptions.create(file=("notes.txt", b"no audio"), model="whisper-1")
    assert (refused.value.status_code, refused.value.param) == (415, "file")


async def test_requests_of_the_same_moment_share_one_job(library: AsyncOpenAI) -> None:
    create = library.audio.transcriptions.with_raw_response.create
    answers = await asyncio.gather(
        *(create(file=JFK.path, model="whisper-1", prompt="The same moment.") for _ in range(5))
    )

    assert len({answer.headers["Headrace-Job-Id"] for answer in answers}) == 1
    assert len({answer.parse().text for answer in answers}) == 1
