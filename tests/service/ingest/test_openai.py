"""OpenAI's audio API: a request becomes a durable job, waits for its end, and gets its transcript."""

import asyncio
import io
from collections.abc import AsyncIterator, Iterable
from typing import Any, NamedTuple

import aiohttp
import msgspec
import pytest
from redis.asyncio import Redis

from ingest_service.auth.caller import Scope
from ingest_service.openai_api import transcribe
from ingest_service.settings import IngestSettings
from shared.queue.announced_models import ANNOUNCES, announce_models
from shared.queue.dispatch import PROCESSOR_SEEN_KEY
from shared.schemas.failures import FailureCode
from tests.support.ingest import records
from tests.support.ingest.api_keys import bearer, guarded, new_key
from tests.support.ingest.raw_http import connected, head
from tests.support.ingest.serving import Ingest, serving, until
from tests.support.ingest.sounds import wav
from tests.support.ingest.waiting_jobs import TRANSCRIPT, complete, new_job

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


async def test_a_request_waits_for_its_job(ingest: Ingest) -> None:
    found = await answered(ingest, ("model", "whisper-1"))

    assert (found.status, found.headers["Content-Type"]) == (200, "application/json")
    assert msgspec.json.decode(found.text) == {
        "text": "Hello there. Good day.",
        "usage": {"type": "duration", "seconds": 2.5},
    }
    _, job = await ingest.get(f"/v1/jobs/{found.headers['Headrace-Job-Id']}")
    assert job["status"] == "COMPLETED"
    assert found.headers["X-Request-Id"]


@pytest.mark.parametrize(
    ("wanted", "media_type", "text"),
    [
        ("text", "text/plain; charset=utf-8", "Hello there. Good day.\n"),
        ("srt", "text/plain; charset=utf-8", "1\n00:00:00,100 --> "),
        ("vtt", "text/vtt; charset=utf-8", "WEBVTT\n\n00:00:00.100 --> "),
        ("verbose_json", "application/json", '{"task":"transcribe","language":"english","duration":2.5,'),
        ("diarized_json", "application/json", '{"task":"transcribe","duration":2.5,'),
    ],
)
async def test_each_format_has_its_media_type(ingest: Ingest, wanted: str, media_type: str, text: str) -> None:
    found = await answered(ingest, ("response_format", wanted))

    assert (found.status, found.headers["Content-Type"]) == (200, media_type)
    assert found.text.startswith(text)


async def test_words_come_only_if_they_are_asked_for(ingest: Ingest) -> None:
    found = await answered(ingest, ("response_format", "verbose_json"), ("timestamp_granularities[]", "word"))

    answer = msgspec.json.decode(found.text)
    assert answer["words"] == [
        {"word": "Hello", "start": 0.1, "end": 0.5},
        {"word": "there.", "start": 0.5, "end": 1.0},
    ]
    assert "segments" not in answer


async def test_the_job_has_the_options_of_the_form(ingest: Ingest) -> None:
    found = await answered(
        ingest,
        ("model", "gpt-4o-transcribe-diarize"),
        ("language", "en-US"),
        ("prompt", "Ask not"),
        ("keywords[]", "Kennedy"),
        ("keywords[]", "moon"),
    )

    row = await records.job_row(ingest, found.headers["Headrace-Job-Id"])
    options = msgspec.json.decode(row["options"])
    assert options == {"language": "en", "denoise": False, "diarize": True, "prompt": "Kennedy, moon. Ask not"}
    assert (row["filename"], row["container"]) == ("clip.wav", "wav")
    assert "Headrace-Ignored" not in found.headers


async def test_a_translation_translates(ingest: Ingest) -> None:
    found = await answered(ingest, ("response_format", "verbose_json"), path=TRANSLATIONS)

    assert msgspec.json.decode(found.text)["task"] == "translate"
    row = await records.job_row(ingest, found.headers["Headrace-Job-Id"])
    assert msgspec.json.decode(row["options"])["task"] == "translate"


async def test_what_has_no_effect_is_named(ingest: Ingest) -> None:
    found = await answered(
        ingest,
        ("temperature", "0.8"),
        ("include[]", "logprobs"),
        ("model", "unheard-of"),
        ("known_speaker_references[]", "data:audio/wav;base64," + "A" * 200_000),
        ("x-mine", "1"),
        ("bad name", "1"),
    )

    assert found.status == 200
    assert found.headers["Headrace-Ignored"] == "model, temperature, include[], known_speaker_references[], x-mine"


async def test_azures_path_and_header_are_accepted(settings: IngestSettings) -> None:
    key = (await new_key(settings, "acme")).key
    async with guarded(settings) as ingest:
        found = await answered(ingest, path=AZURE, headers={"api-key": key})

        assert found.status == 200
        row = await records.job_row(ingest, found.headers["Headrace-Job-Id"])
        assert row["tenant"] == "acme"


async def test_any_key_is_accepted_where_none_is_needed(ingest: Ingest) -> None:
    assert (await answered(ingest, headers=bearer("sk-anything"))).status == 200


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ([("response_format", "docx")], "response_format", "invalid_option"),
        ([("prompt", "x" * 70_000)], "prompt", "invalid_option"),
        ([("file", "x")], None, "invalid_form"),
        ([(f"keywords[{number}]", "x") for number in range(1100)], None, "invalid_form"),
    ],
)
async def test_a_mistake_is_named(
    ingest: Ingest, fields: Iterable[tuple[str, str]], param: str | None, code: str
) -> None:
    found = await ask(ingest, *fields)

    assert (found.status, found.headers["Content-Type"]) == (400, "application/json")
    assert found.error["type"] == "invalid_request_error"
    assert (found.error["param"], found.error["code"]) == (param, code)
    await ingest.assert_nothing_is_left()


async def test_a_form_without_its_file_is_refused(ingest: Ingest) -> None:
    async with ingest.client.post(ingest.url + TRANSCRIPTIONS, data=form(name="audio")) as answer:
        error = (await answer.json())["error"]

    assert (answer.status, error["param"], error["code"]) == (400, "file", "missing_audio_file")
    assert error["message"] == "The audio goes into `file`, as a file. The form has no such part."


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status", "code"),
    [
        ("GET", TRANSCRIPTIONS, {}, None, 405, "method_not_allowed"),
        ("POST", "/v1/audio/speech", {}, b"{}", 404, "not_found"),
        ("GET", "/v1/models/none", {}, None, 404, "model_not_found"),
        ("POST", TRANSCRIPTIONS, {"Content-Type": "application/json"}, b"{}", 415, "unsupported_content_type"),
        ("POST", TRANSCRIPTIONS, {"Content-Encoding": "gzip"}, b"{}", 415, "unsupported_content_encoding"),
        ("POST", TRANSCRIPTIONS, {"Host": "example.com"}, b"{}", 421, "host_not_allowed"),
        ("POST", TRANSCRIPTIONS, {"Origin": "https://example.com"}, b"{}", 403, "origin_not_allowed"),
    ],
)
async def test_each_refusal_is_an_error_object(  # noqa: PLR0913, PLR0917 - a request and its answer
    ingest: Ingest, method: str, path: str, headers: dict[str, str], body: bytes | None, status: int, code: str
) -> None:
    async with ingest.client.request(method, ingest.url + path, headers=headers, data=body) as answer:
        found = await answer.json()

    assert (answer.status, answer.content_type) == (status, "application/json")
    assert found.keys() == {"error"}
    assert found["error"].keys() == {"message", "type", "param", "code"}
    assert found["error"]["code"] == code
    assert answer.headers["X-Request-Id"]


async def test_a_refused_key_is_an_error_object(settings: IngestSettings) -> None:
    submit_only = (await new_key(settings, "acme", Scope.SUBMIT)).key
    async with guarded(settings) as ingest:
        unknown = await ask(ingest, headers=bearer("hr_unknown"))
        narrow = await ask(ingest, headers=bearer(submit_only))

        assert (unknown.status, unknown.error["type"]) == (401, "authentication_error")
        assert unknown.headers["WWW-Authenticate"] == "Bearer"
        assert (narrow.status, narrow.error["code"]) == (403, "forbidden")
        await ingest.assert_nothing_is_left()


async def test_a_large_upload_is_an_error_object(settings: IngestSettings) -> None:
    async with serving(settings, max_upload_bytes=1000) as ingest:
        found = await ask(ingest)

    assert (found.status, found.error["param"], found.error["code"]) == (413, "file", "too_large")


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


async def test_a_long_transcript_is_rendered_in_a_process(ingest: Ingest) -> None:
    segment = TRANSCRIPT.segments[0]
    many = msgspec.structs.replace(
        TRANSCRIPT, segments=tuple(msgspec.structs.replace(segment, id=number) for number in range(2000))
    )
    asking = asyncio.create_task(ask(ingest, ("response_format", "verbose_json")))
    await complete(ingest, await new_job(ingest), many)

    segments = msgspec.json.decode((await asking).text)["segments"]
    assert [one["id"] for one in segments] == list(range(2000))
    assert round(segments[0]["avg_logprob"], 4) == -0.6931


async def test_the_models_are_listed(settings: IngestSettings) -> None:
    async with serving(settings, model_aliases=("Systran/mine=small+diarize",)) as ingest:
        _, listed = await ingest.get("/v1/models")
        names = [model["id"] for model in listed["data"]]
        assert listed["object"] == "list"
        assert {"whisper-1", "gpt-4o-transcribe-diarize", "systran/mine"} <= set(names)
        for name in names:
            status, model = await ingest.get(f"/v1/models/{name}")
            assert (status, model["id"], model["object"], type(model["created"])) == (200, name, "model", int)


async def test_the_models_of_processors_are_listed_and_chosen(settings: IngestSettings) -> None:
    async with Redis.from_url(settings.redis_url.reveal()) as redis:
        await redis.set(PROCESSOR_SEEN_KEY, ANNOUNCES)
        await announce_models(redis, ("small", "tiny"))
    async with serving(settings) as ingest:

        async def is_listed() -> bool:
            return "small" in [model["id"] for model in (await ingest.get("/v1/models"))[1]["data"]]

        await until(is_listed)
        found = await answered(ingest, ("model", "Systran/faster-whisper-small"))
        row = await records.job_row(ingest, found.headers["Headrace-Job-Id"])

    assert msgspec.json.decode(row["options"])["model"] == "small"


async def test_an_alias_chooses_model_and_speakers(settings: IngestSettings) -> None:
    async with serving(settings, model_aliases=("mine=small.en+diarize",)) as ingest:
        found = await answered(ingest, ("model", "mine"))
        row = await records.job_row(ingest, found.headers["Headrace-Job-Id"])

    options = msgspec.json.decode(row["options"])
    assert (options["model"], options["diarize"]) == ("small.en", True)


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


async def test_an_early_refusal_does_not_wait_for_the_body(ingest: Ingest) -> None:
    async with connected(ingest) as (reader, writer):
        lines = ("Content-Type: multipart/form-data; boundary=b", f"Content-Length: {1 << 50}")
        writer.write(head(*lines, line=f"POST {TRANSCRIPTIONS} HTTP/1.1"))
        answer = await reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        error = msgspec.json.decode(await reader.readexactly(length))["error"]

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert (error["code"], error["param"]) == ("too_large", "file")


async def test_the_file_may_come_last(ingest: Ingest) -> None:
    data = aiohttp.FormData()
    data.add_field("language", "de")
    data.add_field("file", io.BytesIO(wav(200_000)), filename="clip.wav")
    async with asyncio.TaskGroup() as group:
        posting = group.create_task(ingest.client.post(ingest.url + TRANSCRIPTIONS, data=data))
        await complete(ingest, await new_job(ingest))
    async with posting.result() as answer:
        assert answer.status == 200
        row = await records.job_row(ingest, answer.headers["Headrace-Job-Id"])
    assert msgspec.json.decode(row["options"])["language"] == "de"


async def test_a_long_form_in_any_order_is_streamed(ingest: Ingest) -> None:
    fields = [("file", wav(200_000)), ("response_format", b"text"), ("known_speaker_references[]", b"A" * 500_000)]
    parts = [
        b'--b\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'
        % (name.encode(), b'; filename="x"' if name == "file" else b"", content)
        for name, content in fields
    ]
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    async with asyncio.TaskGroup() as group:
        body = b"".join(parts) + b"--b--\r\n"
        posting = group.create_task(
            ingest.client.post(ingest.url + TRANSCRIPTIONS, data=io.BytesIO(body), headers=headers)
        )
        await complete(ingest, await new_job(ingest))
    async with posting.result() as answer:
        assert (answer.status, await answer.text()) == (200, "Hello there. Good day.\n")
        assert answer.headers["Headrace-Ignored"] == "known_speaker_references[]"
