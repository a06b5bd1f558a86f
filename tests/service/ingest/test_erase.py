"""`DELETE /v1/jobs/{job_id}`: the client's data and the results are deleted, a tombstone stays."""

import asyncio
from uuid import UUID

import msgspec
import pytest

from shared.blobs import blob_keys
from shared.blobs.blob_errors import BlobNotFoundError
from shared.blobs.blob_store import BlobStore
from shared.connections.redis import open_redis
from shared.ids import new_id
from shared.schemas.failures import FailureCode
from shared.schemas.states import JobStatus
from shared.schemas.windows import Window
from shared.window_feed import append_windows
from tests.support.ingest import records
from tests.support.ingest.serving import Ingest
from tests.support.ingest.sounds import wav

SECRET_WORDS = {"prompt": "Ada, Grace", "metadata": '"names \\u0000 and words"', "webhook_url": records.HOOK}


async def test_blobs_and_metadata_are_deleted_and_a_tombstone_stays(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav(), language="en", **SECRET_WORDS)
    await records.complete(ingest, job_id)
    job = await records.job_row(ingest, job_id)
    await ingest.blobs.put(blob_keys.transcript(job["id"], 1), b"{}")
    warnings = '[{"code":"known_speaker_skipped","message":"The known speaker Ada was not compared."}]'
    await ingest.sql("UPDATE jobs SET filename = 'ada.wav', error_message = 'words', warnings = $1", warnings)

    assert await ingest.delete(f"/v1/jobs/{job_id}") == 204

    assert ingest.stored_files() == []
    erased = await records.job_row(ingest, job_id)
    assert (erased["status"], erased["erased_at"] is not None, erased["blobs_erased_at"]) == ("COMPLETED", True, None)
    assert (erased["metadata"], erased["filename"], erased["error_message"]) == (None, None, None)
    assert (msgspec.json.decode(erased["options"]), erased["warnings"]) == ({"language": "en"}, "[]")
    kept = ("id", "tenant", "generation", "webhook_url", "source_sha256", "source_bytes", "completed_at")
    assert [erased[name] for name in kept] == [job[name] for name in kept]


async def test_text_that_was_streamed_is_deleted(ingest: Ingest, redis_url: str) -> None:
    job_id = await ingest.submit(wav())
    await records.start(ingest, job_id)
    async with open_redis(redis_url) as redis:
        await append_windows(redis, [(UUID(job_id), Window(is_last=True))])
        assert await ingest.delete(f"/v1/jobs/{job_id}") == 204
        assert await redis.keys("headrace:windows:*") == []


async def test_a_pending_webhook_is_delivered_without_the_metadata(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav(), **SECRET_WORDS)
    event = await records.complete(ingest, job_id)
    (before,) = await ingest.sql("SELECT body FROM webhook_events")

    assert await ingest.delete(f"/v1/jobs/{job_id}") == 204

    (after,) = await ingest.sql("SELECT id, body FROM webhook_events")
    expected = msgspec.json.decode(before["body"])
    assert expected["data"]["metadata"] == "names \x00 and words"
    expected["data"]["metadata"] = None
    assert (after["id"], msgspec.json.decode(after["body"])) == (event, expected)
    (delivery,) = await records.tasks_of(ingest, job_id, "deliver")
    assert delivery["state"] == "dispatched"


@pytest.mark.parametrize("is_running", [False, True])
async def test_a_job_that_has_not_ended_is_cancelled_first(ingest: Ingest, is_running: bool) -> None:  # noqa: FBT001
    job_id = await ingest.submit(wav(), **SECRET_WORDS)
    if is_running:
        await records.start(ingest, job_id)

    assert await ingest.delete(f"/v1/jobs/{job_id}") == 204

    assert (await records.job_row(ingest, job_id))["status"] == "CANCELLED"
    states = {task["kind"]: task["state"] for task in await records.tasks_of(ingest, job_id)}
    assert states == {"prepare": "cancelled", "deliver": "dispatched"}
    (event,) = await ingest.sql("SELECT * FROM webhook_events")
    assert (event["type"], msgspec.json.decode(event["body"])["data"]["metadata"]) == ("job.cancelled", None)


async def test_erasing_again_changes_nothing(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav(), **SECRET_WORDS)
    answers = await asyncio.gather(*(ingest.delete(f"/v1/jobs/{job_id}") for _ in range(5)))
    first = await records.job_row(ingest, job_id)

    assert [*answers, await ingest.delete(f"/v1/jobs/{job_id}")] == [204] * 6
    assert dict(await records.job_row(ingest, job_id)) == dict(first)
    assert len(await records.tasks_of(ingest, job_id, "deliver")) == 1


ROUTES = [
    ("GET", ""),
    ("GET", "/transcript"),
    ("GET", "/audio"),
    ("GET", "/audio?variant=denoised"),
    ("GET", "/peaks"),
    ("GET", "/peaks?level=overview"),
    ("GET", "/work"),
    ("POST", "/cancel"),
    ("GET", "/webhook-attempts"),
    ("GET", "/transcript/edits"),
    ("GET", "/transcript/edits/1"),
    ("POST", "/webhook"),
]


async def test_every_route_of_an_erased_job_answers_410(ingest: Ingest) -> None:
    job_id, other = await ingest.submit(wav()), await ingest.submit(wav())
    await records.end_job(ingest, job_id, JobStatus.COMPLETED)
    await ingest.delete(f"/v1/jobs/{job_id}")
    for method, path in ROUTES:
        async with ingest.client.request(method, f"{ingest.url}/v1/jobs/{job_id}{path}") as answer:
            assert (answer.status, (await answer.json(content_type=None))["code"]) == (410, "job_erased"), path
    async with ingest.client.head(f"{ingest.url}/v1/jobs/{job_id}/audio") as answer:
        assert answer.status == 410
    assert [job["job_id"] for job in (await ingest.get("/v1/jobs"))[1]["jobs"]] == [other]


async def test_the_dead_letter_of_an_erased_job_is_removed(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    await records.fail(ingest, job_id, FailureCode.UNDECODABLE_AUDIO)
    assert len((await ingest.get("/v1/dead-letters"))[1]["dead_letters"]) == 1

    assert await ingest.delete(f"/v1/jobs/{job_id}") == 204

    assert (await ingest.get("/v1/dead-letters"))[1]["dead_letters"] == []
    assert (await ingest.post(None, path=f"/v1/dead-letters/{job_id}/redrive"))[1]["code"] == "job_erased"
    assert (await records.job_row(ingest, job_id))["status"] == "FAILED"


async def test_an_unknown_job_and_another_tenants_job_cannot_be_erased(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    await ingest.sql("UPDATE jobs SET tenant = 'other'")
    for each in (job_id, new_id(), "x"):
        assert await ingest.delete(f"/v1/jobs/{each}") == 404
    assert len(ingest.stored_files()) == 1


async def test_a_job_can_be_erased_while_the_blob_store_is_unavailable(
    ingest: Ingest, caplog: pytest.LogCaptureFixture
) -> None:
    job_id = await ingest.submit(wav())
    ingest.lose_store()
    assert await ingest.delete(f"/v1/jobs/{job_id}") == 204
    assert (await records.job_row(ingest, job_id))["erased_at"] is not None
    assert "blobs_not_deleted" in caplog.messages


async def test_deleting_a_jobs_prefix_deletes_no_other_job(storage_url: str) -> None:
    blobs, job_id = BlobStore(storage_url), new_id()
    prefix = blob_keys.job(job_id)
    others = (f"{prefix}0/source", f"{prefix}-more/source")
    for key in (blob_keys.source(job_id), *others):
        await blobs.put(key, b"x")

    await blobs.delete(prefix)

    with pytest.raises(BlobNotFoundError):
        await blobs.get(blob_keys.source(job_id))
    assert [await blobs.get(key) for key in others] == [b"x", b"x"]


async def test_audio_deleted_by_retention_leaves_the_transcript(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    await records.complete(ingest, job_id)
    await ingest.blobs.put(blob_keys.transcript((await records.job_row(ingest, job_id))["id"], 1), b"{}")
    await ingest.sql("UPDATE jobs SET audio_erased_at = now()")
    for variant in ("original", "denoised"):
        status, problem = await ingest.get(f"/v1/jobs/{job_id}/audio?variant={variant}")
        assert (status, problem["code"]) == (410, "audio_erased")
    assert await ingest.get(f"/v1/jobs/{job_id}/transcript") == (200, {})
