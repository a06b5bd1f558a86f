"""Submitting `audio_headers`, `s3://` sources and `results_to`: what is accepted, stored, shown and erased."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
import pytest
import pytest_asyncio

from ingest_service.settings import IngestSettings
from shared.schemas.options import JobOptions
from shared.schemas.source_headers import decode_headers
from shared.schemas.states import JobStatus
from shared.sealed import Seal
from shared.secret import Secret
from tests.support.ingest.records import complete, end_job, fail, job_row
from tests.support.ingest.serving import Ingest, serving
from tests.support.ingest.sounds import wav
from tests.support.ingest.tus_client import Tus, metadata

KEY = Secret(base64.b64encode(bytes(range(32))).decode())
URL = "https://example.com/talk.mp3"
HEADERS = {"Authorization": "Bearer s3cret", "X-Key": "s3cret"}
SIGNED = "https://bucket.example/a.json?X-Amz-Signature=s3cret"
JSON = {"Content-Type": "application/json"}
FOLDER = "s3://out/default/"


@pytest_asyncio.fixture
async def open_ingest(settings: IngestSettings) -> AsyncIterator[Ingest]:
    """An ingest that accepts headers and buckets."""
    async with serving(
        settings, encryption_keys=KEY, source_buckets=("audio/{tenant}",), result_buckets=("out/{tenant}",)
    ) as ingest:
        yield ingest


async def post(ingest: Ingest, body: dict[str, Any], **headers: str) -> tuple[int, dict[str, Any]]:
    return await ingest.post(msgspec.json.encode(body), headers={**JSON, **headers})


async def submit(ingest: Ingest, **body: Any) -> str:
    status, answer = await post(ingest, {"audio_url": URL, **body})
    assert status == 202, answer
    return str(answer["job_id"])


async def refusal(ingest: Ingest, **body: Any) -> str:
    status, problem = await post(ingest, {"audio_url": URL, **body})
    assert (status, problem["code"]) == (400, "invalid_option")
    assert "s3cret" not in str(problem)
    return str(problem["detail"])


async def stored_headers(ingest: Ingest) -> list[Any]:
    return list(await ingest.sql("SELECT * FROM source_headers"))


async def test_headers_are_sealed_for_their_job_and_shown_nowhere(open_ingest: Ingest) -> None:
    job_id = await submit(open_ingest, audio_headers=HEADERS)
    (row,) = await stored_headers(open_ingest)
    assert (str(row["job_id"]), row["tenant"]) == (job_id, "default")
    assert decode_headers(Seal(KEY).open(row["sealed"], job_id)) == {
        "authorization": "Bearer s3cret",
        "x-key": "s3cret",
    }
    job = await job_row(open_ingest, job_id)
    assert job["options"] == '{"audio_headers":"authorization,x-key"}'
    for path in (f"/v1/jobs/{job_id}", "/v1/jobs", f"/v1/jobs/{job_id}/work"):
        _, shown = await open_ingest.get(path)
        assert "s3cret" not in str(shown)
        assert "authorization" not in str(shown)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"content-length": "5"},
        {"Transfer-Encoding": "chunked"},
        {"X-A": "s3cret\r\nHost: evil.example"},
        {"X-A\r\nHost": "s3cret"},
        {"X-A": "s3cret", "x-a": "s3cret"},
        {f"x-{number}": "s3cret" for number in range(17)},
        {"X-A": "s3cret" * 2000},
        {"X-A": ["s3cret"]},
        "Authorization: s3cret",
        ["s3cret"],
    ],
)
async def test_bad_headers_are_refused_by_name(open_ingest: Ingest, headers: Any) -> None:
    assert (await refusal(open_ingest, audio_headers=headers)).startswith("`audio_headers` ")
    assert await stored_headers(open_ingest) == []


async def test_headers_need_a_key_of_the_server_and_a_url(ingest: Ingest, open_ingest: Ingest) -> None:
    assert "HEADRACE_ENCRYPTION_KEYS" in await refusal(ingest, audio_headers=HEADERS)
    assert await submit(ingest, audio_headers={}) != await submit(ingest, audio_headers=None)
    assert "a bucket is read without headers" in await refusal(
        open_ingest, audio_url="s3://audio/default/talk.mp3", audio_headers=HEADERS
    )
    status, problem = await open_ingest.post(
        wav(), params={"audio_headers": "x"}, headers={"Content-Type": "audio/wav"}
    )
    assert (status, problem["code"]) == (400, "invalid_option")


async def test_a_repeat_may_have_a_newer_token(open_ingest: Ingest) -> None:
    body = {"audio_url": URL, "audio_headers": {"Authorization": "Bearer old"}}
    first = await post(open_ingest, body, **{"Idempotency-Key": "k"})
    newer = {**body, "audio_headers": {"authorization": "Bearer new"}}
    assert await post(open_ingest, newer, **{"Idempotency-Key": "k"}) == first
    others = {**body, "audio_headers": {"X-Other": "Bearer old"}}
    assert (await post(open_ingest, others, **{"Idempotency-Key": "k"}))[0] == 422
    assert len(await stored_headers(open_ingest)) == 1


async def test_cancelling_and_erasing_erase_the_headers(open_ingest: Ingest) -> None:
    cancelled, erased = [await submit(open_ingest, audio_headers=HEADERS) for _ in range(2)]
    assert (await open_ingest.post(None, f"/v1/jobs/{cancelled}/cancel"))[0] == 200
    assert len(await stored_headers(open_ingest)) == 1
    assert await open_ingest.delete(f"/v1/jobs/{erased}") == 204
    assert await stored_headers(open_ingest) == []


async def test_a_job_whose_headers_are_gone_is_not_redriven(open_ingest: Ingest) -> None:
    job_id = await submit(open_ingest, audio_headers=HEADERS)
    await fail(open_ingest, job_id)
    status, problem = await open_ingest.post(None, f"/v1/dead-letters/{job_id}/redrive")
    assert (status, problem["code"]) == (410, "source_headers_erased")
    assert "Submit it again" in problem["detail"]
    _, letters = await open_ingest.get("/v1/dead-letters")
    assert "s3cret" not in str(letters)

    await open_ingest.sql("UPDATE jobs SET source_sha256 = 'ab', source_bytes = 4, container = 'wav'")
    assert (await open_ingest.post(None, f"/v1/dead-letters/{job_id}/redrive"))[0] == 202  # the audio is stored


async def test_objects_of_the_tenants_folders_become_jobs(open_ingest: Ingest) -> None:
    job_id = await submit(open_ingest, audio_url="s3://audio/default/2026/größe 1.mp3")
    assert (await job_row(open_ingest, job_id))["source_url"] == "s3://audio/default/2026/größe 1.mp3"


@pytest.mark.parametrize(
    "url",
    [
        *(
            "s3://audio/globex/talk.mp3",
            "s3://audio/talk.mp3",
            "s3://audio/default2/talk.mp3",
            "s3://other/default/talk.mp3",
        ),
        *(
            "s3://../default/talk.mp3",
            "s3://audio/../talk.mp3",
            "s3://audio/default/../globex/talk.mp3",
            "s3://audio/default/",
        ),
        *(
            "s3://audio/default/%2e%2e/globex/talk.mp3",
            "s3://audio/default/..%2fglobex/talk.mp3",
            "s3://",
            "s3://audio",
        ),
    ],
)
async def test_other_objects_are_refused(open_ingest: Ingest, url: str) -> None:
    detail = await refusal(open_ingest, audio_url=url)
    assert "must be in s3://audio/default/" in detail or "must be s3://bucket/key" in detail


async def test_without_buckets_no_object_is_accepted(ingest: Ingest) -> None:
    assert "must be an http or https URL" in await refusal(ingest, audio_url="s3://audio/default/talk.mp3")
    assert "writes to no bucket" in await refusal(ingest, results_to=FOLDER)


async def test_results_are_stored_with_the_job_by_every_method(open_ingest: Ingest) -> None:
    form = aiohttp.FormData({"results_to": FOLDER, "results_formats": "json,srt"})
    form.add_field("audio_file", wav(), filename="a.wav")
    jobs = [
        (await open_ingest.post(form))[1]["job_id"],
        (await open_ingest.post(
            wav(), params={"results_to": FOLDER, "results_formats": "json,srt"}, headers={"Content-Type": "audio/wav"}
        ))[1]["job_id"],
        await submit(open_ingest, results_to=FOLDER, results_formats="json,srt"),
        await _by_tus(open_ingest),
    ]  # fmt: skip
    for job_id in jobs:
        options = msgspec.json.decode((await job_row(open_ingest, job_id))["options"], type=JobOptions)
        assert options == JobOptions(results_formats="json,srt")
        rows = await open_ingest.sql("SELECT * FROM result_writes WHERE job_id = $1 ORDER BY format", job_id)
        assert [row["target"] for row in rows] == [f"{FOLDER}{job_id}.json", f"{FOLDER}{job_id}.srt"]
        assert {(row["tenant"], row["state"], row["due_at"]) for row in rows} == {("default", "waiting", None)}


async def _by_tus(ingest: Ingest) -> str:
    tus, audio = Tus.to(ingest), wav()
    wanted = metadata(results_to=FOLDER, results_formats="json,srt")
    path = await tus.created(len(audio), Upload_Metadata=wanted)
    done = await tus.request("PATCH", path, audio, Upload_Offset="0")
    return str(done.headers["Headrace-Job-Id"])


async def test_a_job_shows_its_results_and_no_url(open_ingest: Ingest) -> None:
    job_id = await submit(open_ingest, results_to={"json": SIGNED, "vtt": SIGNED})
    await complete(open_ingest, job_id)
    await open_ingest.sql(
        "UPDATE result_writes SET state = 'failed', attempts = 1, error = 'It answered 413.', ended_at = now()"
        " WHERE format = 'vtt'"
    )
    _, job = await open_ingest.get(f"/v1/jobs/{job_id}")
    first, second = job["results"]
    assert first == {
        "format": "json",
        "to": "bucket.example",
        "status": "waiting",
        "attempts": 0,
        "error": None,
        "ended_at": None,
    }
    assert (second["status"], second["attempts"], second["error"]) == ("failed", 1, "It answered 413.")
    assert job["options"] == {"results_formats": "json,vtt"}
    _, listed = await open_ingest.get("/v1/jobs")
    assert "s3cret" not in str((job, listed))


@pytest.mark.parametrize(
    "to", ["s3://out/globex/", "s3://out/", "s3://out/default2/", "s3://audio/default/", "s3://headrace/default/"]
)
async def test_folders_of_others_are_refused_before_the_audio(open_ingest: Ingest, to: str) -> None:
    assert "must be in s3://out/default/" in await refusal(open_ingest, results_to=to)
    tus = Tus.to(open_ingest)
    assert (await tus.create(100, Upload_Metadata=metadata(results_to=to))).status == 400


async def test_erasing_a_job_erases_its_results(open_ingest: Ingest) -> None:
    job_id = await submit(open_ingest, results_to={"json": SIGNED})
    await end_job(open_ingest, job_id, JobStatus.COMPLETED)
    assert await open_ingest.delete(f"/v1/jobs/{job_id}") == 204
    assert await open_ingest.sql("SELECT * FROM result_writes") == []


@pytest.mark.parametrize("setting", ["source_buckets", "result_buckets"])
def test_the_services_own_bucket_is_refused(settings: IngestSettings, setting: str) -> None:
    values = msgspec.structs.asdict(settings) | {"storage_url": "s3://headrace/prod", setting: ("headrace/x",)}
    with pytest.raises(ValueError, match="must not name the bucket of HEADRACE_STORAGE_URL"):
        IngestSettings(**values)
