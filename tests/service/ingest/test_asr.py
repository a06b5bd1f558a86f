"""`/asr` and `/detect-language` over real HTTP: the requests of Bazarr, Speakr and others, and all their answers."""

import asyncio
from collections.abc import Awaitable
from typing import Any, NamedTuple

import aiohttp
import msgspec
import pytest

from ingest_service.auth.caller import Scope
from ingest_service.settings import IngestSettings
from ingest_service.uploads.raw_pcm import HEADER
from shared.blobs import blob_keys
from shared.schemas.transcript import Transcript
from tests.support.ingest import records
from tests.support.ingest.api_keys import bearer, guarded, new_key
from tests.support.ingest.scraping import scrape
from tests.support.ingest.serving import Ingest, serving, until
from tests.support.ingest.sounds import wav
from tests.support.ingest.spoken import said, transcript

SPOKEN = transcript(said("Hello there.", 1.0, speaker="SPEAKER_00"), duration_s=2.0)
OUTPUTS = {
    "txt": "Hello there.\n",
    "srt": "1\n00:00:01,000 --> 00:00:02,000\nHello there.\n",
    "vtt": "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\n<v SPEAKER_00>Hello there.\n",
    "tsv": "start\tend\ttext\n1000\t1600\tHello there.\n",
    "json": '{"text":"Hello there.","segments":[{"id":0,',
}


class Answer(NamedTuple):
    status: int
    headers: Any
    text: str

    def problem(self) -> Any:
        return msgspec.json.decode(self.text)


def file_of(audio: bytes, filename: str = "talk.wav") -> aiohttp.FormData:
    data = aiohttp.FormData()
    data.add_field("audio_file", audio, filename=filename)
    return data


async def ask(ingest: Ingest, path: str, data: Any = None, **options: Any) -> Answer:
    async with ingest.client.post(ingest.url + path, data=data or file_of(wav()), **options) as answer:
        return Answer(answer.status, answer.headers, await answer.text())


async def submitted(ingest: Ingest) -> str:
    """Return the id of the job when the request has made it."""

    async def is_there() -> bool:
        return await ingest.job_count() == 1

    await until(is_there)
    return str((await ingest.sql("SELECT id FROM jobs"))[0][0])


async def finish(ingest: Ingest, job_id: str, found: Transcript = SPOKEN) -> None:
    row = await records.job_row(ingest, job_id)
    await ingest.blobs.put(blob_keys.transcript(row["id"], 1), msgspec.json.encode(found))
    await records.complete(ingest, job_id)


async def answered(ingest: Ingest, asking: Awaitable[Answer], found: Transcript = SPOKEN) -> tuple[Answer, Any]:
    """Return the answer of a request whose job is done by us, and the job's row."""
    waiting = asyncio.ensure_future(asking)
    job_id = await submitted(ingest)
    await finish(ingest, job_id, found)
    return await waiting, await records.job_row(ingest, job_id)


async def test_the_routes_are_off_by_default(settings: IngestSettings) -> None:
    defaults = {field.name: field.default for field in msgspec.structs.fields(IngestSettings)}
    assert defaults["asr_routes"] is False
    async with serving(settings, asr_routes=False) as ingest:
        for path in ("/asr", "/detect-language"):
            answer = await ask(ingest, path)
            assert answer.status == 404
            assert "HEADRACE_ASR_ROUTES=true" in answer.text


@pytest.mark.parametrize("output", OUTPUTS)
async def test_each_output_is_plain_text(ingest: Ingest, output: str) -> None:
    answer, job = await answered(ingest, ask(ingest, f"/asr?output={output}"))
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert answer.text.startswith(OUTPUTS[output])
    assert answer.headers["Headrace-Job-Id"] == str(job["id"])
    assert answer.headers["Content-Disposition"] == f'attachment; filename="talk.{output}"'
    assert (job["filename"], job["container"], job["options"]) == ("talk.wav", "wav", '{"denoise":false}')


async def test_words_are_in_the_json_if_they_are_wanted(ingest: Ingest) -> None:
    answer, _ = await answered(ingest, ask(ingest, "/asr?output=json&word_timestamps=true"))
    (segment,) = msgspec.json.decode(answer.text)["segments"]
    assert [word["word"] for word in segment["words"]] == ["Hello", "there."]
    assert segment["speaker"] == "SPEAKER_00"


async def test_bazarr_sends_samples_without_a_header(ingest: Ingest) -> None:
    """Its form has bytes under the field's name, without a type, and its samples begin with anything."""
    samples = bytes(range(256)) * 500
    data = file_of(samples, "audio_file")
    answer, job = await answered(ingest, ask(ingest, "/asr?task=transcribe&language=fr&output=srt&encode=false", data))
    assert (answer.status, job["options"]) == (200, '{"language":"fr","denoise":false}')
    assert (job["container"], job["source_bytes"]) == ("wav", len(HEADER + samples))
    assert await ingest.blobs.get(blob_keys.source(job["id"])) == HEADER + samples


async def test_speakr_sends_more_parameters_and_fields(ingest: Ingest) -> None:
    data = aiohttp.FormData(quote_fields=False)
    data.add_field("later", "ignored")
    data.add_field("audio_file", wav(), filename="Tagung Zoë.m4a", content_type="audio/mp4")
    data.add_field("also", "x" * 70_000)
    query = (
        "encode=True&task=transcribe&output=json&diarize=True&enable_diarization=True&min_speakers=2&hotwords=a&model=b"
    )
    answer, job = await answered(ingest, ask(ingest, f"/asr?{query}", data))
    assert msgspec.json.decode(answer.text)["segments"][0]["speaker"] == "SPEAKER_00"
    assert msgspec.json.decode(job["options"]) == {"denoise": False, "diarize": True, "min_speakers": 2}
    assert (job["filename"], job["source_bytes"]) == ("Tagung Zoë.m4a", len(wav()))


async def test_an_empty_transcript_is_an_empty_text(ingest: Ingest) -> None:
    answer, _ = await answered(ingest, ask(ingest, "/asr"), transcript())
    assert (answer.status, answer.text) == (200, "")


@pytest.mark.parametrize("encode", ["true", "false"])
async def test_the_language_is_detected_without_a_transcript(ingest: Ingest, encode: str) -> None:
    found = Transcript(text="", language="ht", language_probability=0.75, duration=2.0, segments=())
    answer, job = await answered(ingest, ask(ingest, f"/detect-language?encode={encode}"), found)
    assert answer.headers["Content-Type"] == "application/json"
    assert msgspec.json.decode(answer.text) == {
        "detected_language": "haitian creole",
        "language_code": "ht",
        "confidence": 0.75,
    }
    assert msgspec.json.decode(job["options"]) == {"denoise": False, "detect_language_only": True}


async def test_without_speech_no_language_is_invented(ingest: Ingest) -> None:
    found = Transcript(text="", language=None, duration=2.0, segments=())
    answer, job = await answered(ingest, ask(ingest, "/detect-language"), found)
    assert (answer.status, answer.problem()["code"]) == (422, "no_speech")
    assert answer.headers["Headrace-Job-Id"] == str(job["id"])


@pytest.mark.parametrize("path", ["/asr", "/detect-language"])
@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (file_of(b""), 400, "empty_upload"),
        (file_of(b"<html>" * 2000), 415, "unsupported_media"),
        (aiohttp.FormData({"file": "x"}), 415, "unsupported_content_type"),
        (b"", 415, "unsupported_content_type"),
    ],
    ids=["empty", "page", "urlencoded", "nothing"],
)
async def test_refused_requests_leave_nothing(ingest: Ingest, path: str, data: Any, status: int, code: str) -> None:
    if isinstance(data, aiohttp.FormData):
        data = data()  # a form can be sent once, and serves several tests
    answer = await ask(ingest, path, data or b" ")
    assert (answer.status, answer.problem()["code"]) == (status, code)
    await ingest.assert_nothing_is_left()


@pytest.mark.parametrize(
    ("fields", "code"),
    [(["audio"], "missing_audio_file"), (["audio_file", "audio_file"], "invalid_form"), ([], "invalid_form")],
)
async def test_a_form_has_one_file_of_that_name(ingest: Ingest, fields: list[str], code: str) -> None:
    data = aiohttp.MultipartWriter("form-data", boundary="b")
    for name in fields:
        data.append(wav()).set_content_disposition("form-data", name=name, filename="a.wav")
    answer = await ask(ingest, "/asr", data if fields else b"--x", headers={} if fields else FORM_WITHOUT_END)
    assert (answer.status, answer.problem()["code"]) == (400, code)
    await ingest.assert_nothing_is_left()


FORM_WITHOUT_END = {"Content-Type": "multipart/form-data; boundary=x"}


async def test_samples_without_a_header_may_be_none(ingest: Ingest) -> None:
    answer = await ask(ingest, "/asr?encode=false", file_of(b""))
    assert (answer.status, answer.problem()["code"]) == (400, "empty_upload")
    await ingest.assert_nothing_is_left()


async def test_a_large_file_is_refused_while_it_arrives(settings: IngestSettings) -> None:
    async with serving(settings, max_upload_bytes=100_000) as ingest:
        answer = await ask(ingest, "/asr?encode=false", file_of(bytes(100_001)))
        assert (answer.status, answer.problem()["code"]) == (413, "too_large")
        await ingest.assert_nothing_is_left()


async def test_a_wrong_parameter_is_refused_before_the_audio(ingest: Ingest) -> None:
    answer = await ask(ingest, "/asr?output=docx")
    assert (answer.status, answer.problem()["code"]) == (400, "invalid_option")
    assert "txt, vtt, srt, tsv, json" in answer.problem()["detail"]
    await ingest.assert_nothing_is_left()


@pytest.mark.parametrize(
    ("end", "code"), [("fail", "job_failed"), ("cancel", "job_cancelled"), ("erase", "job_erased")]
)
async def test_a_job_without_a_result_is_a_problem(ingest: Ingest, end: str, code: str) -> None:
    waiting = asyncio.ensure_future(ask(ingest, "/asr"))
    job_id = await submitted(ingest)
    match end:
        case "fail":
            await records.fail(ingest, job_id)
        case "cancel":
            await ingest.post(b"", f"/v1/jobs/{job_id}/cancel")
        case "erase":
            await ingest.delete(f"/v1/jobs/{job_id}")
    answer = await waiting
    assert answer.problem()["code"] == code
    assert (answer.status >= 400, answer.headers["Headrace-Job-Id"]) == (True, job_id)


async def test_the_longest_wait_ends_with_503_and_the_job_goes_on(settings: IngestSettings) -> None:
    async with serving(settings, wait_max_s=0.01) as ingest:
        answer = await ask(ingest, "/asr")
        assert (answer.status, answer.problem()["code"]) == (503, "still_running")
        assert int(answer.headers["Retry-After"]) > 0
        (job,) = await ingest.sql("SELECT id, status FROM jobs")
        assert (str(job["id"]), job["status"]) == (answer.headers["Headrace-Job-Id"], "QUEUED")


async def test_a_stopping_service_answers_those_who_wait(ingest: Ingest) -> None:
    waiting = asyncio.ensure_future(ask(ingest, "/asr"))
    await submitted(ingest)
    ingest.stopping.set()
    assert (await waiting).status == 503


async def test_a_client_that_hangs_up_is_noticed(ingest: Ingest) -> None:
    async def listeners() -> float:
        return (await scrape(ingest)).get("event_listeners")

    async def waits() -> bool:
        return await listeners() == 1

    async def is_gone() -> bool:
        return await listeners() == 0

    waiting = asyncio.ensure_future(ask(ingest, "/asr"))
    await until(waits)
    waiting.cancel()
    await until(is_gone)


async def test_a_waiting_request_holds_no_upload_slot(settings: IngestSettings) -> None:
    async with serving(settings, quota_uploads_at_once=1) as ingest:
        waiting = asyncio.ensure_future(ask(ingest, "/asr"))
        job_id = await submitted(ingest)

        async def is_free() -> bool:
            return (await ingest.post(wav(), headers={"Content-Type": "audio/wav"}))[0] == 202

        await until(is_free)
        await finish(ingest, job_id)
        assert (await waiting).status == 200


async def test_a_repeat_attaches_to_the_job_and_another_output_too(ingest: Ingest) -> None:
    first = asyncio.ensure_future(ask(ingest, "/asr?output=srt"))
    job_id = await submitted(ingest)
    second = asyncio.ensure_future(ask(ingest, "/asr?output=json"))
    await finish(ingest, job_id)
    answers = [await first, await second, await ask(ingest, "/asr")]
    assert {answer.headers["Headrace-Job-Id"] for answer in answers} == {job_id}
    assert await ingest.job_count() == 1


async def test_a_key_of_another_scope_is_refused(settings: IngestSettings) -> None:
    async with guarded(settings) as ingest:
        key = await new_key(settings, "acme", Scope.READ)
        assert (await ask(ingest, "/asr", headers=bearer(key.key))).status == 403
        assert (await ask(ingest, "/asr")).status == 401
