"""How requests to OpenAI's audio API wait for their jobs: blanks, streams, repeats, clients that hang up."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
import pytest

from ingest_service.openai_api import transcribe
from ingest_service.settings import IngestSettings
from shared.schemas.failures import FailureCode
from tests.support.ingest import records
from tests.support.ingest.openai_requests import TRANSCRIPTIONS, answered, ask, form
from tests.support.ingest.serving import Ingest, serving, until
from tests.support.ingest.waiting_jobs import TRANSCRIPT, complete, new_job


@pytest.mark.parametrize(
    ("failure", "status", "kind"),
    [
        (FailureCode.UNDECODABLE_AUDIO, 400, "invalid_request_error"),
        (FailureCode.MODEL_UNAVAILABLE, 400, "invalid_request_error"),
        (FailureCode.TIMEOUT, 500, "server_error"),
    ],
)
@pytest.mark.parametrize("wanted", ["json", "srt"])
async def test_a_failure_has_the_code_of_its_job(
    ingest: Ingest, failure: FailureCode, status: int, kind: str, wanted: str
) -> None:
    asking = asyncio.create_task(ask(ingest, ("response_format", wanted)))
    job_id = await new_job(ingest)
    await records.fail(ingest, job_id, failure)
    found = await asking

    assert (found.status, found.error["type"], found.error["code"]) == (status, kind, failure)
    assert (found.headers["x-should-retry"], found.headers["Headrace-Job-Id"]) == ("false", job_id)


async def test_a_cancelled_job_is_not_repeated(ingest: Ingest) -> None:
    asking = asyncio.create_task(ask(ingest))
    job_id = await new_job(ingest)
    assert (await ingest.post(b"", path=f"/v1/jobs/{job_id}/cancel"))[0] == 200
    found = await asking

    assert (found.status, found.error["code"]) == (409, "job_cancelled")
    assert found.headers["x-should-retry"] == "false"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blanks begin at once, and the formats without blanks give up at once."""
    for name in ("BLANKS_AFTER_S", "BLANK_EVERY_S", "REPEAT_AFTER_S"):
        monkeypatch.setattr(transcribe, name, 0.05)


@pytest.mark.usefixtures("impatient")
async def test_a_long_wait_sends_blanks_in_front_of_json(ingest: Ingest) -> None:
    async with ingest.client.post(ingest.url + TRANSCRIPTIONS, data=form()) as answer:
        assert answer.status == 200
        blanks = await answer.content.readexactly(3)
        await complete(ingest, await new_job(ingest))
        rest = await answer.content.read()

    assert blanks == b"   "
    assert msgspec.json.decode(blanks + rest)["text"] == TRANSCRIPT.text


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("wanted", ["text", "srt", "vtt"])
async def test_a_long_wait_asks_for_a_repeat_of_text(ingest: Ingest, wanted: str) -> None:
    found = await ask(ingest, ("response_format", wanted))

    assert (found.status, found.error["code"], found.error["type"]) == (503, "still_running", "server_error")
    assert (found.headers["retry-after"], found.headers["x-should-retry"]) == ("1", "true")
    assert found.headers["Headrace-Job-Id"] in found.error["message"]


@pytest.mark.usefixtures("impatient")
async def test_a_late_failure_breaks_the_connection(ingest: Ingest) -> None:
    async with ingest.client.post(ingest.url + TRANSCRIPTIONS, data=form()) as answer:
        await answer.content.readexactly(1)
        await records.fail(ingest, await new_job(ingest))
        with pytest.raises(aiohttp.ClientError):
            await answer.read()


@pytest.mark.usefixtures("impatient")
async def test_a_wait_is_limited(settings: IngestSettings) -> None:
    async with serving(settings, wait_max_s=0.01) as ingest:
        found = await ask(ingest)
        streamed = await ask(ingest, ("stream", "true"))

    assert (found.status, found.error["code"]) == (503, "still_running")
    assert '"code":"still_running"' in streamed.text.splitlines()[-2]
    assert "[DONE]" not in streamed.text


async def events_of(text: str) -> AsyncIterator[Any]:
    for line in text.splitlines():
        if line.startswith("data: {"):
            yield msgspec.json.decode(line.removeprefix("data: "))


async def test_a_stream_ends_with_the_text(ingest: Ingest) -> None:
    found = await answered(ingest, ("stream", "true"))

    assert found.headers["Content-Type"].startswith("text/event-stream")
    events = [event async for event in events_of(found.text)]
    assert "".join(event["delta"] for event in events[:-1]) == TRANSCRIPT.text
    done = events[-1]
    assert (done["type"], done["text"]) == ("transcript.text.done", TRANSCRIPT.text)
    assert done["usage"] == {"type": "duration", "seconds": 2.5}
    assert found.text.endswith("data: [DONE]\n\n")


async def test_a_diarized_stream_has_segments_with_speakers(ingest: Ingest) -> None:
    found = await answered(ingest, ("stream", "1"), ("response_format", "diarized_json"))

    events = [event async for event in events_of(found.text)]
    segments = [event for event in events if event["type"] == "transcript.text.segment"]
    assert [(one["speaker"], one["text"], one["id"]) for one in segments] == [
        ("A", "Hello there.", "seg_000"),
        ("B", "Good day.", "seg_001"),
    ]


async def test_a_failed_stream_ends_with_the_error(ingest: Ingest) -> None:
    asking = asyncio.create_task(ask(ingest, ("stream", "true")))
    await records.fail(ingest, await new_job(ingest), FailureCode.NO_AUDIO_TRACK)
    found = await asking

    (event,) = [event async for event in events_of(found.text)]
    assert event["error"]["code"] == "no_audio_track"


async def test_a_waiting_request_holds_no_upload_slot(settings: IngestSettings) -> None:
    async with serving(settings, quota_uploads_at_once=1) as ingest:
        first = asyncio.create_task(ask(ingest))
        one = await new_job(ingest)
        second = asyncio.create_task(ask(ingest, ("language", "en")))
        two = await new_job(ingest, 2)
        for job_id in (one, two):
            await complete(ingest, job_id)

        assert [(await asking).status for asking in (first, second)] == [200, 200]


async def test_a_waiting_request_counts_as_an_event_stream(settings: IngestSettings) -> None:
    async with serving(settings, max_event_streams=1) as ingest:
        first = asyncio.create_task(ask(ingest))
        job_id = await new_job(ingest)
        found = await ask(ingest)
        assert (found.status, found.error["code"]) == (429, "too_many_streams")
        await complete(ingest, job_id)

        assert (await first).status == 200
        assert await ingest.job_count() == 1


async def test_a_stopping_process_asks_for_a_repeat(ingest: Ingest) -> None:
    asking = asyncio.create_task(ask(ingest))
    await new_job(ingest)
    ingest.stopping.set()
    found = await asking

    assert (found.status, found.error["code"], found.headers["x-should-retry"]) == (503, "still_running", "true")


async def test_a_repeat_attaches_to_the_running_job(ingest: Ingest) -> None:
    first = asyncio.create_task(ask(ingest))
    job_id = await new_job(ingest)
    second = asyncio.create_task(ask(ingest, ("response_format", "text")))
    third = asyncio.create_task(ask(ingest, ("prompt", "Another job.")))
    other = await new_job(ingest, 2)
    await complete(ingest, other)
    await complete(ingest, job_id)

    found = [await asking for asking in (first, second, third)]
    assert [one.status for one in found] == [200, 200, 200]
    assert [one.headers["Headrace-Job-Id"] for one in found] == [job_id, job_id, other]


async def test_a_repeat_gets_the_answer_of_a_job_that_has_ended(ingest: Ingest) -> None:
    first = await answered(ingest)
    again = await ask(ingest, ("response_format", "srt"))

    assert (again.status, again.headers["Headrace-Job-Id"]) == (200, first.headers["Headrace-Job-Id"])
    assert again.text.startswith("1\n")


@pytest.mark.usefixtures("impatient")
async def test_the_repeat_after_a_late_failure_gets_its_error(ingest: Ingest) -> None:
    async with ingest.client.post(ingest.url + TRANSCRIPTIONS, data=form()) as answer:
        await answer.content.readexactly(1)
        job_id = await new_job(ingest)
        await records.fail(ingest, job_id, FailureCode.EMPTY_AUDIO)
        with pytest.raises(aiohttp.ClientError):
            await answer.read()
    again = await ask(ingest)

    assert (again.status, again.error["code"], again.headers["Headrace-Job-Id"]) == (400, "empty_audio", job_id)


async def hang_up(ingest: Ingest, *fields: tuple[str, str], number: int = 1) -> str:
    """Ask, and close the connection while the job runs. Return the job."""
    asking = asyncio.create_task(ask(ingest, *fields))
    job_id = await new_job(ingest, number)
    asking.cancel()
    await asyncio.wait([asking])
    return job_id


@pytest.mark.parametrize("stream", ["true", "false"])
async def test_a_job_is_cancelled_after_its_client_has_hung_up(settings: IngestSettings, stream: str) -> None:
    async with serving(settings, hang_up_grace_s=0.01) as ingest:
        job_id = await hang_up(ingest, ("stream", stream))

        async def is_cancelled() -> bool:
            return bool((await ingest.get(f"/v1/jobs/{job_id}"))[1]["status"] == "CANCELLED")

        await until(is_cancelled)


async def test_a_job_that_another_request_waits_for_goes_on(settings: IngestSettings) -> None:
    async with serving(settings, hang_up_grace_s=0.01) as ingest:
        waiting = asyncio.create_task(ask(ingest))
        job_id = await new_job(ingest)
        abandoned = asyncio.create_task(ask(ingest))
        other = await hang_up(ingest, ("language", "de"), number=2)

        async def is_cancelled() -> bool:
            return bool((await ingest.get(f"/v1/jobs/{other}"))[1]["status"] == "CANCELLED")

        abandoned.cancel()
        await until(is_cancelled)  # so long, the first job would have been cancelled, too
        await complete(ingest, job_id)
        assert (await waiting).status == 200


@pytest.mark.parametrize("stream", ["true", "false"])
async def test_a_job_that_is_erased_meanwhile_is_named(ingest: Ingest, stream: str) -> None:
    asking = asyncio.create_task(ask(ingest, ("stream", stream)))
    job_id = await new_job(ingest)
    assert await ingest.delete(f"/v1/jobs/{job_id}") == 204
    found = await asking

    assert found.headers["Headrace-Job-Id"] == job_id
    assert '"code":"job_erased"' in found.text
