"""`POST /v1/jobs/{job_id}/cancel`: the job, its tasks and its webhook, in one transaction and once."""

import asyncio
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from shared.ids import new_id
from shared.queue.dispatch import DELIVERY_QUEUE
from shared.schemas.states import JobStatus, TaskKind
from shared.schemas.webhook_events import WebhookEvent
from tests.support.ingest import records
from tests.support.ingest.serving import Ingest, until
from tests.support.ingest.sounds import wav


async def cancel(ingest: Ingest, job_id: object) -> tuple[int, dict[str, Any]]:
    return await ingest.post(None, path=f"/v1/jobs/{job_id}/cancel")


async def test_a_queued_job_is_cancelled_with_its_task(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())

    status, job = await cancel(ingest, job_id)

    assert (status, job["status"], job["queue_position"]) == (200, "CANCELLED", None)
    assert job["completed_at"] is not None
    (task,) = await records.tasks_of(ingest, job_id)
    assert (task["state"], task["finished_at"] is not None) == ("cancelled", True)


async def test_only_the_open_tasks_of_a_running_job_are_cancelled(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    await records.cut(ingest, job_id, "done", "running", "waiting", "dispatched")

    assert (await cancel(ingest, job_id))[0] == 200

    states = [(task["kind"], task["state"]) for task in await records.tasks_of(ingest, job_id)]
    assert states == [("chunk", "done"), *[("chunk", "cancelled")] * 3, ("prepare", "done")]


async def test_the_webhook_is_committed_with_the_cancellation_and_enqueued(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav(), webhook_url=records.HOOK, metadata='{"n":1.0}')
    await records.start(ingest, job_id)

    assert (await cancel(ingest, job_id))[0] == 200

    (event,) = await ingest.sql("SELECT * FROM webhook_events")
    webhook_event = msgspec.json.decode(event["body"], type=WebhookEvent)
    assert (event["type"], webhook_event.data.status, bytes(webhook_event.data.metadata)) == (
        "job.cancelled",
        "CANCELLED",
        b'{"n":1.0}',
    )
    assert webhook_event.timestamp == (await records.job_row(ingest, job_id))["completed_at"]
    (task,) = await records.tasks_of(ingest, job_id, "deliver")
    assert (task["state"], msgspec.json.decode(task["input"])) == ("dispatched", {"event_id": event["id"]})
    async with Redis.from_url(ingest.settings.redis_url.reveal()) as redis:

        async def is_rung() -> bool:
            return await redis.zscore(DELIVERY_QUEUE, f"{task['id']}.1") is not None

        await until(is_rung)


async def test_cancelling_again_changes_nothing(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav(), webhook_url=records.HOOK)
    _, first = await cancel(ingest, job_id)

    assert await cancel(ingest, job_id) == (200, first)
    assert len(await ingest.sql("SELECT 1 FROM webhook_events")) == 1


async def test_concurrent_cancellations_cancel_once(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav(), webhook_url=records.HOOK)

    answers = await asyncio.gather(*(cancel(ingest, job_id) for _ in range(10)))

    assert [status for status, _ in answers] == [200] * 10
    assert len(await records.tasks_of(ingest, job_id, "deliver")) == 1


@pytest.mark.parametrize("status", [JobStatus.COMPLETED, JobStatus.FAILED])
async def test_a_job_that_ended_cannot_be_cancelled(ingest: Ingest, status: JobStatus) -> None:
    job_id = await ingest.submit(wav())
    await records.end_job(ingest, job_id, status)

    got, problem = await cancel(ingest, job_id)

    assert (got, problem["code"]) == (409, "job_ended")
    assert (await records.job_row(ingest, job_id))["status"] == status


async def test_a_delivery_of_an_earlier_generation_continues(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav(), webhook_url=records.HOOK)
    await records.fail(ingest, job_id)
    assert (await ingest.post(None, path=f"/v1/dead-letters/{job_id}/redrive"))[0] == 202

    assert (await cancel(ingest, job_id))[0] == 200

    deliveries = await records.tasks_of(ingest, job_id, "deliver")
    assert [(task["generation"], task["state"]) for task in deliveries] == [(1, "dispatched"), (2, "dispatched")]


async def test_an_unknown_job_and_another_tenants_job_cannot_be_cancelled(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    await ingest.sql("UPDATE jobs SET tenant = 'other'")
    for each in (job_id, new_id(), "x"):
        status, problem = await cancel(ingest, each)
        assert (status, problem["code"]) == (404, "not_found")
    assert (await records.job_row(ingest, job_id))["status"] == "QUEUED"


async def test_tasks_inserted_under_the_jobs_lock_are_cancelled(ingest: Ingest) -> None:
    """A worker that settles `prepare` locks the job first. Its new chunks must be cancelled too."""
    job_id = await ingest.submit(wav())
    await records.start(ingest, job_id)
    async with ingest.transaction() as settle:
        await settle.execute("SELECT 1 FROM jobs WHERE id = $1 FOR UPDATE", job_id)
        cancelling = asyncio.create_task(cancel(ingest, job_id))
        await until(ingest.somebody_waits_for_a_lock)
        await settle.execute("UPDATE tasks SET state = 'done' WHERE job_id = $1", job_id)
        await settle.execute(records.INSERT_TASK, new_id(), job_id, 1, TaskKind.CHUNK, 0, "dispatched", None)
    assert (await cancelling)[0] == 200
    states = {task["kind"]: task["state"] for task in await records.tasks_of(ingest, job_id)}
    assert states == {"prepare": "done", "chunk": "cancelled"}
