"""`POST /v1/jobs/{job_id}/diarize`: the speakers of a finished job again, as a new generation with the same text."""

import asyncio
from typing import Any

import msgspec
import pytest

from ingest_service.settings import IngestSettings
from shared.blobs import blob_keys
from shared.ids import new_id
from shared.schemas.failures import FailureCode
from shared.schemas.options import JobOptions
from shared.schemas.states import JobStatus
from shared.schemas.transcript import Transcript
from tests.support.ingest import records
from tests.support.ingest.serving import Ingest, serving
from tests.support.ingest.sounds import wav


async def diarize(ingest: Ingest, job_id: object, body: Any = None, **query: str) -> tuple[int, dict[str, Any]]:
    data = None if body is None else msgspec.json.encode(body)
    return await ingest.post(data, path=f"/v1/jobs/{job_id}/diarize", params=query)


async def store(ingest: Ingest, job_id: str, generation: int, text: str) -> None:
    row = await records.job_row(ingest, job_id)
    transcript = Transcript(text=text, language="en", duration=1.0, segments=())
    await ingest.blobs.put(blob_keys.transcript(row["id"], generation), msgspec.json.encode(transcript))


async def completed(ingest: Ingest, **query: str) -> str:
    job_id = await ingest.submit(wav(), **query)
    await store(ingest, job_id, 1, "first")
    await ingest.blobs.put(blob_keys.denoised((await records.job_row(ingest, job_id))["id"], 1), b"fLaC")
    await records.complete(ingest, job_id)
    return job_id


async def text(ingest: Ingest, job_id: str) -> str:
    status, body = await ingest.get(f"/v1/jobs/{job_id}/transcript")
    assert status == 200, body
    return str(body["text"])


async def test_a_completed_job_is_queued_as_a_new_generation_with_the_new_options(ingest: Ingest) -> None:
    job_id = await completed(ingest, language="en", max_speakers="5", diarize="true")

    status, accepted = await diarize(ingest, job_id, {"num_speakers": 3})

    assert (status, accepted["job_id"], accepted["status"]) == (202, job_id, "QUEUED")
    job = await records.job_row(ingest, job_id)
    assert (job["status"], job["generation"], job["stage"], job["completed_at"]) == ("QUEUED", 2, "prepare", None)
    assert (job["text_generation"], job["results_generation"]) == (1, 1)
    options = msgspec.json.decode(job["options"], type=JobOptions)
    assert options == JobOptions(language="en", diarize=True, num_speakers=3)
    (task,) = await records.tasks_of(ingest, job_id, generation=2)
    assert (task["kind"], task["state"]) == ("prepare", "dispatched")


async def test_the_options_may_be_in_the_query_or_absent(ingest: Ingest) -> None:
    for query in ({"min_speakers": "2", "max_speakers": "4"}, {}):
        job_id = await completed(ingest)
        assert (await diarize(ingest, job_id, **query))[0] == 202
        options = msgspec.json.decode((await records.job_row(ingest, job_id))["options"], type=JobOptions)
        assert options == msgspec.convert({"diarize": "true", **query}, JobOptions, strict=False)


async def test_the_former_results_are_served_until_the_new_ones_are_complete(ingest: Ingest) -> None:
    job_id = await completed(ingest)
    await diarize(ingest, job_id)
    await store(ingest, job_id, 2, "second")
    assert await text(ingest, job_id) == "first"
    await records.start(ingest, job_id)
    assert await text(ingest, job_id) == "first"

    await records.complete(ingest, job_id)

    assert await text(ingest, job_id) == "second"
    async with ingest.client.get(f"{ingest.url}/v1/jobs/{job_id}/audio?variant=denoised") as answer:
        assert (answer.status, await answer.read()) == (200, b"fLaC")


@pytest.mark.parametrize("end", [JobStatus.FAILED, JobStatus.CANCELLED])
async def test_a_diarization_that_did_not_complete_keeps_the_results_and_may_be_repeated(
    ingest: Ingest, end: JobStatus
) -> None:
    job_id = await completed(ingest)
    await diarize(ingest, job_id)
    if end is JobStatus.FAILED:
        await records.fail(ingest, job_id, FailureCode.MODEL_UNAVAILABLE)
    else:
        assert (await ingest.post(None, path=f"/v1/jobs/{job_id}/cancel"))[0] == 200
    assert await text(ingest, job_id) == "first"

    assert (await diarize(ingest, job_id))[0] == 202

    job = await records.job_row(ingest, job_id)
    assert (job["generation"], job["text_generation"], job["results_generation"]) == (3, 1, 1)
    assert await records.dead_letters(ingest) == []


async def test_a_redrive_continues_the_diarization(ingest: Ingest) -> None:
    job_id = await completed(ingest)
    await diarize(ingest, job_id)
    await records.fail(ingest, job_id)

    assert (await ingest.post(None, path=f"/v1/dead-letters/{job_id}/redrive"))[0] == 202

    job = await records.job_row(ingest, job_id)
    assert (job["generation"], job["text_generation"], job["results_generation"]) == (3, 1, 1)


async def test_a_second_diarization_starts_from_the_text_of_the_first_generation(ingest: Ingest) -> None:
    job_id = await completed(ingest)
    await diarize(ingest, job_id)
    await store(ingest, job_id, 2, "second")
    await records.complete(ingest, job_id)

    await diarize(ingest, job_id)

    job = await records.job_row(ingest, job_id)
    assert (job["generation"], job["text_generation"], job["results_generation"]) == (3, 1, 2)
    assert await text(ingest, job_id) == "second"


async def test_repeats_at_the_same_time_make_one_generation(ingest: Ingest) -> None:
    job_id = await completed(ingest)

    answers = await asyncio.gather(*(diarize(ingest, job_id, {"num_speakers": 2}) for _ in range(8)))

    assert {(status, body["status"]) for status, body in answers} == {(202, "QUEUED")}
    assert (await records.job_row(ingest, job_id))["generation"] == 2
    status, problem = await diarize(ingest, job_id, {"num_speakers": 3})
    assert (status, problem["code"]) == (409, "not_ended")


async def test_a_job_without_a_transcript_is_refused(ingest: Ingest) -> None:
    queued, failed, cancelled = [await ingest.submit(wav()) for _ in range(3)]
    await records.fail(ingest, failed)
    await ingest.post(None, path=f"/v1/jobs/{cancelled}/cancel")

    for job_id, code in ((queued, "not_ended"), (failed, "job_failed"), (cancelled, "job_cancelled")):
        status, problem = await diarize(ingest, job_id)
        assert (status, problem["code"]) == (409, code)
        assert (await records.job_row(ingest, job_id))["generation"] == 1


async def test_missing_and_erased_jobs_are_refused(ingest: Ingest) -> None:
    expired, erased = await completed(ingest), await completed(ingest)
    await ingest.sql("UPDATE jobs SET audio_erased_at = now() WHERE id = $1", expired)
    await ingest.delete(f"/v1/jobs/{erased}")

    for job_id, code in (
        (expired, "audio_erased"),
        (erased, "job_erased"),
        (new_id(), "not_found"),
        ("x", "not_found"),
    ):
        assert (await diarize(ingest, job_id))[1]["code"] == code


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"num_speakers": 0}, "num_speakers"),
        ({"num_speakers": "2"}, "num_speakers"),
        ({"num_speakers": 2, "max_speakers": 2}, "num_speakers"),
        ({"min_speakers": 3, "max_speakers": 2}, "min_speakers"),
        ({"language": "en"}, "language"),
        ([2], "options"),
    ],
)
async def test_invalid_options_are_refused_by_name(ingest: Ingest, body: Any, named: str) -> None:
    job_id = await completed(ingest)

    status, problem = await diarize(ingest, job_id, body)

    assert (status, problem["code"]) == (400, "invalid_option")
    assert f"`{named}`" in problem["detail"]
    assert (await records.job_row(ingest, job_id))["status"] == "COMPLETED"


async def test_separate_channels_are_speakers_already(ingest: Ingest) -> None:
    job_id = await completed(ingest, channels="separate")
    await ingest.sql("UPDATE jobs SET channels = 2 WHERE id = $1", job_id)
    assert (await diarize(ingest, job_id))[1]["code"] == "invalid_option"
    await ingest.sql("UPDATE jobs SET channels = 1 WHERE id = $1", job_id)
    assert (await diarize(ingest, job_id))[0] == 202


async def test_the_quota_of_queued_jobs_applies(settings: IngestSettings) -> None:
    async with serving(settings, quota_jobs_queued=1) as ingest:
        job_id = await completed(ingest)
        await ingest.submit(wav())

        status, problem = await diarize(ingest, job_id)

        assert (status, problem["code"]) == (429, "quota_exceeded")


async def test_each_generation_has_its_webhook(ingest: Ingest) -> None:
    job_id = await completed(ingest, webhook_url=records.HOOK)
    await diarize(ingest, job_id)
    await records.complete(ingest, job_id)

    events = await ingest.sql("SELECT generation, type FROM webhook_events ORDER BY generation")
    assert [tuple(event) for event in events] == [(1, "job.completed"), (2, "job.completed")]
