"""OpenAI's own Python library against the ingest: its typed errors, and its repeated requests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest
from openai import AsyncAzureOpenAI, AsyncOpenAI

from ingest_service.auth.caller import Scope
from ingest_service.openai_api import transcribe
from ingest_service.settings import IngestSettings
from shared.schemas.failures import FailureCode
from tests.support.ingest import records
from tests.support.ingest.api_keys import guarded, new_key
from tests.support.ingest.serving import Ingest, serving, until
from tests.support.ingest.sounds import wav
from tests.support.ingest.waiting_jobs import TRANSCRIPT, complete, new_job

CLIP = ("clip.wav", wav())


@asynccontextmanager
async def library(ingest: Ingest, key: str = "sk-any", **options: Any) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{ingest.url}/v1", api_key=key, **options) as client:
        yield client


async def is_attached(ingest: Ingest) -> bool:
    """Whether a second request waits for the job."""
    return bool(await ingest.sql("SELECT FROM jobs WHERE attached_at IS NOT NULL"))


async def test_a_request_that_timed_out_is_repeated_and_attaches(ingest: Ingest) -> None:
    async with library(ingest, timeout=1.0, max_retries=2) as client:
        asking = asyncio.create_task(client.audio.transcriptions.create(file=CLIP, model="whisper-1"))
        job_id = await new_job(ingest)
        await until(lambda: is_attached(ingest))
        await complete(ingest, job_id)

        assert (await asking).text == TRANSCRIPT.text
    assert await ingest.job_count() == 1


async def test_a_late_failure_becomes_the_librarys_error(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcribe, "BLANKS_AFTER_S", 0.01)
    async with library(ingest) as client:
        asking = asyncio.create_task(client.audio.transcriptions.create(file=CLIP, model="whisper-1"))
        await records.fail(ingest, await new_job(ingest), FailureCode.UNDECODABLE_AUDIO)

        with pytest.raises(openai.BadRequestError) as caught:
            await asking
    assert (caught.value.code, caught.value.type) == ("undecodable_audio", "invalid_request_error")
    assert await ingest.job_count() == 1


async def test_text_that_takes_long_is_asked_for_again(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcribe, "REPEAT_AFTER_S", 0.2)
    async with library(ingest, max_retries=20) as client:
        asking = asyncio.create_task(
            client.audio.transcriptions.create(file=CLIP, model="whisper-1", response_format="srt")
        )
        job_id = await new_job(ingest)
        await until(lambda: is_attached(ingest))
        await complete(ingest, job_id)

        assert (await asking).startswith("1\n00:00:00,100 --> ")
    assert await ingest.job_count() == 1


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (FailureCode.NO_AUDIO_TRACK, openai.BadRequestError),
        (FailureCode.MODEL_UNAVAILABLE, openai.BadRequestError),
        (FailureCode.POISON, openai.InternalServerError),
    ],
)
async def test_a_failed_job_is_an_error_of_its_class(
    ingest: Ingest, failure: FailureCode, error: type[openai.APIStatusError]
) -> None:
    async with library(ingest) as client:
        asking = asyncio.create_task(client.audio.transcriptions.create(file=CLIP, model="whisper-1"))
        job_id = await new_job(ingest)
        await records.fail(ingest, job_id, failure)

        with pytest.raises(error) as caught:
            await asking
    assert (caught.value.code, caught.value.response.headers["headrace-job-id"]) == (failure, job_id)
    assert caught.value.request_id
    assert not await is_attached(ingest)  # it was not repeated


async def test_refusals_are_errors_of_their_classes(settings: IngestSettings) -> None:
    read_only = (await new_key(settings, "acme", Scope.READ)).key
    both = (await new_key(settings, "acme", Scope.READ, Scope.SUBMIT, purpose="both")).key
    async with guarded(settings, max_upload_bytes=200, max_event_streams=1) as ingest:
        for key, error in (("hr_unknown", openai.AuthenticationError), (read_only, openai.PermissionDeniedError)):
            async with library(ingest, key) as client:
                with pytest.raises(error):
                    await client.audio.transcriptions.create(file=CLIP, model="whisper-1")
        async with library(ingest, both) as client:
            with pytest.raises(openai.APIStatusError) as caught:
                await client.audio.transcriptions.create(file=CLIP, model="whisper-1")
            assert (caught.value.status_code, caught.value.code, caught.value.param) == (413, "too_large", "file")
            with pytest.raises(openai.NotFoundError) as missing:
                await client.models.retrieve("unheard-of")
            assert missing.value.code == "model_not_found"
            with pytest.raises(openai.NotFoundError):
                await client.audio.speech.create(input="x", model="tts-1", voice="alloy")


async def test_a_rate_limit_is_the_librarys_error(settings: IngestSettings) -> None:
    async with serving(settings, rate_limit=0.001, rate_burst=1) as ingest, library(ingest, max_retries=0) as client:
        await client.models.list()
        with pytest.raises(openai.RateLimitError) as caught:
            await client.models.list()
    assert caught.value.code == "rate_limited"
    assert int(caught.value.response.headers["retry-after"]) > 0


async def test_a_failed_stream_raises_the_librarys_error(ingest: Ingest) -> None:
    async with library(ingest) as client:
        events = await client.audio.transcriptions.create(file=CLIP, model="whisper-1", stream=True)
        await records.fail(ingest, await new_job(ingest), FailureCode.EMPTY_AUDIO)
        with pytest.raises(openai.APIError) as caught:
            async for _ in events:
                pass
    assert caught.value.code == "empty_audio"


async def test_azures_client_works(settings: IngestSettings) -> None:
    key = (await new_key(settings, "acme", Scope.READ, Scope.SUBMIT)).key
    async with (
        guarded(settings) as ingest,
        AsyncAzureOpenAI(azure_endpoint=ingest.url, api_key=key, api_version="2024-10-21") as client,
    ):
        asking = asyncio.create_task(client.audio.transcriptions.create(file=CLIP, model="gpt-4o-transcribe-diarize"))
        job_id = await new_job(ingest)
        await complete(ingest, job_id)

        assert (await asking).text == TRANSCRIPT.text
        assert '"diarize":true' in (await records.job_row(ingest, job_id))["options"]


async def test_the_models_are_listed(ingest: Ingest) -> None:
    async with library(ingest) as client:
        names = [model.id async for model in client.models.list()]
        assert "whisper-1" in names
        assert (await client.models.retrieve("gpt-4o-transcribe-diarize")).object == "model"
