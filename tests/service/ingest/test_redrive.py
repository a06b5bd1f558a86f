"""`POST /v1/dead-letters/…redrive`: redrive a job, a delivery or all of them, exactly once."""

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from ingest_service.jobs.redrive import FROM_THE_START, plan
from ingest_service.jobs.rows import NewTask
from shared.ids import new_id
from shared.queue.dispatch import COMPUTE_QUEUE
from shared.schemas.failures import FailureCode
from shared.schemas.states import JobStatus, Stage, TaskKind, TaskState
from tests.support.ingest import records
from tests.support.ingest.serving import Ingest, until
from tests.support.ingest.sounds import wav

MANY = 100


async def redrive(ingest: Ingest, job_id: object) -> tuple[int, dict[str, Any]]:
    return await ingest.post(None, path=f"/v1/dead-letters/{job_id}/redrive")


async def redrive_all(ingest: Ingest, **query: str) -> int:
    status, body = await ingest.post(None, path="/v1/dead-letters/redrive", params=query)
    assert status == 200, body
    return int(body["redriven"])


async def undelivered(ingest: Ingest) -> str:
    """A COMPLETED job with a dead delivery."""
    job_id = await ingest.submit(wav(), webhook_url=records.HOOK)
    await records.complete(ingest, job_id)
    (delivery,) = await records.tasks_of(ingest, job_id, "deliver")
    await records.end_task(ingest, delivery["id"], "dead", FailureCode.WEBHOOK_REFUSED)
    return job_id


async def test_a_failed_job_is_queued_again_as_a_new_generation(ingest: Ingest) -> None:
    job_id = await records.failed(ingest)

    status, accepted = await redrive(ingest, job_id)

    assert (status, accepted["job_id"], accepted["status"]) == (202, job_id, "QUEUED")
    assert accepted["links"]["self"] == f"/v1/jobs/{job_id}"
    job = await records.job_row(ingest, job_id)
    assert (job["status"], job["generation"], job["stage"]) == ("QUEUED", 2, "prepare")
    gone = ("error_code", "error_message", "started_at", "completed_at", "chunk_generation")
    assert [job[name] for name in gone] == [None] * len(gone)
    old, new = await records.tasks_of(ingest, job_id)
    assert (old["generation"], old["state"], old["dismissed_at"] is not None) == (1, "dead", True)
    assert (new["generation"], new["kind"], new["state"], new["dispatch_no"]) == (2, "prepare", "dispatched", 1)
    assert await records.dead_letters(ingest) == []
    async with Redis.from_url(ingest.settings.redis_url.reveal()) as redis:

        async def is_rung() -> bool:
            return await redis.zscore(COMPUTE_QUEUE, f"{new['id']}.1") is not None

        await until(is_rung)


async def test_a_redriven_job_is_queued_and_has_no_error(ingest: Ingest) -> None:
    job_id = await records.failed(ingest)
    assert (await ingest.get(f"/v1/jobs/{job_id}"))[1]["error"]["code"] == "timeout"
    await redrive(ingest, job_id)
    _, job = await ingest.get(f"/v1/jobs/{job_id}")
    assert (job["status"], job["error"], job["attempts"], job["progress"]) == ("QUEUED", None, 0, 0)


async def test_a_job_without_a_dead_letter_cannot_be_redriven(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    status, problem = await redrive(ingest, job_id)
    assert (status, problem["code"]) == (404, "no_dead_letter")
    for unknown_id in (new_id(), "x"):
        assert (await redrive(ingest, unknown_id))[1]["code"] == "not_found"


async def test_finished_chunks_are_not_repeated(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    chunks = await records.cut(ingest, job_id, "done", "dispatched", "done", "cancelled")
    await records.end_task(ingest, chunks[1], "dead", FailureCode.POISON)
    await records.end_job(ingest, job_id, JobStatus.FAILED, FailureCode.POISON)

    assert (await redrive(ingest, job_id))[0] == 202

    job = await records.job_row(ingest, job_id)
    assert (job["stage"], job["chunk_count"], job["chunks_done"], job["chunk_generation"]) == ("transcribe", 4, 2, 1)
    again = await records.tasks_of(ingest, job_id, generation=2)
    assert [(task["kind"], task["state"], task["progress"]) for task in again] == [
        ("chunk", "done", 1), ("chunk", "dispatched", 0), ("chunk", "done", 1), ("chunk", "dispatched", 0),
    ]  # fmt: skip
    assert [task["input"] for task in again] == [f'{{"chunk":{ordinal}}}' for ordinal in range(4)]


async def test_chunks_survive_any_number_of_generations(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    chunks = await records.cut(ingest, job_id, "done", "dispatched")
    for generation in (2, 3):
        await records.end_task(ingest, chunks[1], "dead", FailureCode.TIMEOUT)
        await records.end_job(ingest, job_id, JobStatus.FAILED, FailureCode.TIMEOUT)
        assert (await redrive(ingest, job_id))[0] == 202
        chunks = [task["id"] for task in await records.tasks_of(ingest, job_id, "chunk", generation)]
    job = await records.job_row(ingest, job_id)
    assert (job["generation"], job["chunk_generation"], job["chunks_done"]) == (3, 1, 1)


async def test_only_finish_is_repeated_if_all_chunks_are_done(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    await records.cut(ingest, job_id, "done", "done")
    finish = await records.insert_task(ingest, job_id, TaskKind.FINISH)
    await records.end_task(ingest, finish, "dead", FailureCode.STORAGE_UNAVAILABLE)
    await records.end_job(ingest, job_id, JobStatus.FAILED, FailureCode.STORAGE_UNAVAILABLE)

    assert (await redrive(ingest, job_id))[0] == 202

    job = await records.job_row(ingest, job_id)
    assert (job["stage"], job["chunks_done"]) == ("finish", 2)
    again = await records.tasks_of(ingest, job_id, generation=2)
    assert [(task["kind"], task["state"]) for task in again] == [
        ("chunk", "done"), ("chunk", "done"), ("finish", "dispatched"),
    ]  # fmt: skip


async def test_a_job_without_its_chunks_starts_over(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    chunks = await records.cut(ingest, job_id, "done", "dispatched")
    await records.end_task(ingest, chunks[1], "dead", FailureCode.SOURCE_MISSING)
    await records.end_job(ingest, job_id, JobStatus.FAILED, FailureCode.SOURCE_MISSING)

    assert (await redrive(ingest, job_id))[0] == 202

    job = await records.job_row(ingest, job_id)
    assert (job["stage"], job["chunk_count"], job["chunks_done"], job["chunk_generation"]) == ("prepare", 0, 0, None)
    (task,) = await records.tasks_of(ingest, job_id, generation=2)
    assert task["kind"] == "prepare"


def test_a_plan_without_all_chunks_starts_over() -> None:
    done = NewTask(TaskKind.CHUNK, 0, TaskState.DONE)
    assert plan([], 0) == plan([done], 2) == plan([], 3) == FROM_THE_START
    assert plan([done], 1).stage is Stage.FINISH


async def test_a_job_whose_audio_was_deleted_by_retention_is_not_redriven(ingest: Ingest) -> None:
    job_id, other = await records.failed(ingest), await records.failed(ingest)
    await ingest.sql("UPDATE jobs SET audio_erased_at = now() WHERE id = $1", job_id)
    status, problem = await redrive(ingest, job_id)
    assert (status, problem["code"]) == (410, "audio_erased")
    assert await redrive_all(ingest) == 1
    assert (await records.job_row(ingest, job_id))["status"] == "FAILED"
    assert (await records.job_row(ingest, other))["status"] == "QUEUED"


async def test_redriving_a_dead_delivery_does_not_change_the_job(ingest: Ingest) -> None:
    job_id = await undelivered(ingest)

    status, accepted = await redrive(ingest, job_id)

    assert (status, accepted["status"]) == (202, "COMPLETED")
    old, new = await records.tasks_of(ingest, job_id, "deliver")
    assert (old["state"], old["dismissed_at"] is not None) == ("dead", True)
    assert (new["state"], new["ordinal"], new["generation"], new["input"]) == ("dispatched", 1, 1, old["input"])
    assert (await records.job_row(ingest, job_id))["generation"] == 1
    assert await records.dead_letters(ingest) == []


async def test_a_failed_job_with_a_dead_delivery_is_redriven_as_a_job(ingest: Ingest) -> None:
    job_id = await records.failed(ingest, webhook_url=records.HOOK)
    (delivery,) = await records.tasks_of(ingest, job_id, "deliver")
    await records.end_task(ingest, delivery["id"], "dead", FailureCode.WEBHOOK_REFUSED)

    assert await redrive_all(ingest) == 2

    assert await records.dead_letters(ingest) == []
    (new,) = await records.tasks_of(ingest, job_id, generation=2)
    assert new["kind"] == "prepare"


async def test_redriving_by_a_delivery_code_does_not_restart_the_job(ingest: Ingest) -> None:
    job_id = await records.failed(ingest, webhook_url=records.HOOK)
    (delivery,) = await records.tasks_of(ingest, job_id, "deliver")
    await records.end_task(ingest, delivery["id"], "dead", FailureCode.WEBHOOK_REFUSED)

    assert await redrive_all(ingest, code="webhook_refused") == 1

    assert [letter["code"] for letter in await records.dead_letters(ingest)] == ["timeout"]
    assert (await records.job_row(ingest, job_id))["status"] == "FAILED"
    assert len(await records.tasks_of(ingest, job_id, "deliver")) == 2


async def test_a_hundred_dead_jobs_redriven_twice_concurrently_get_one_new_generation_each(ingest: Ingest) -> None:
    ids = await asyncio.gather(*(ingest.submit(wav()) for _ in range(MANY)))
    for job_id in ids:
        await records.fail(ingest, job_id)

    redriven = await asyncio.gather(redrive_all(ingest), redrive_all(ingest), redrive(ingest, ids[MANY // 2]))

    by_one = 1 if redriven[2][0] == 202 else 0
    assert redriven[0] + redriven[1] + by_one == MANY
    jobs = await ingest.sql("SELECT status, generation FROM jobs")
    assert {(job["status"], job["generation"]) for job in jobs} == {("QUEUED", 2)}
    tasks = await ingest.sql("SELECT job_id FROM tasks WHERE generation = 2")
    assert sorted(str(task["job_id"]) for task in tasks) == sorted(ids)
    assert await records.dead_letters(ingest) == []


async def test_several_batches_of_dead_letters_are_redriven(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest_service.jobs.redrive.BATCH", 3)
    for _ in range(8):
        await records.failed(ingest)
    await ingest.sql("UPDATE tasks SET finished_at = '2020-01-01'")
    assert await redrive_all(ingest) == 8


async def test_redriving_one_code_leaves_the_other_codes(ingest: Ingest) -> None:
    poisoned, slow = await records.failed(ingest, FailureCode.POISON), await records.failed(ingest, FailureCode.TIMEOUT)
    assert await redrive_all(ingest, code="timeout") == 1
    assert [letter["job_id"] for letter in await records.dead_letters(ingest)] == [poisoned]
    assert (await records.job_row(ingest, slow))["status"] == "QUEUED"
    status, problem = await ingest.post(None, path="/v1/dead-letters/redrive", params={"code": "nonsense"})
    assert (status, problem["code"]) == (400, "invalid_parameter")
