"""OpenAI's audio API: a form becomes a job, and its transcript the answer."""

import asyncio
import io
from collections.abc import Iterable

import aiohttp
import msgspec
import pytest
from redis.asyncio import Redis

from ingest_service.auth.caller import Scope
from ingest_service.settings import IngestSettings
from shared.queue.announced_models import ANNOUNCES, announce_models
from shared.queue.dispatch import PROCESSOR_SEEN_KEY
from tests.support.ingest import records
from tests.support.ingest.api_keys import bearer, guarded, new_key
from tests.support.ingest.openai_requests import AZURE, TRANSCRIPTIONS, TRANSLATIONS, answered, ask, form
from tests.support.ingest.raw_http import connected, head
from tests.support.ingest.serving import Ingest, serving, until
from tests.support.ingest.sounds import wav
from tests.support.ingest.waiting_jobs import TRANSCRIPT, complete, new_job


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
    assert error["message"] == "The audio goes into `file`, as a file. The form has `audio`."


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status", "code"),
    [
        ("GET", TRANSCRIPTIONS, {}, None, 405, "method_not_allowed"),
        ("POST", "/v1/audio/speech", {}, b"{}", 404, "not_found"),
        ("POST", "/audio/transcriptions", {}, b"{}", 404, "not_found"),
        ("GET", "/v1/v1/models", {}, None, 404, "not_found"),
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
