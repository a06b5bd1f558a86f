"""`/v1/jobs/{job_id}/webhook-attempts` and `/webhook`: delivery attempts, and sending the webhook again."""

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.ids import new_id
from shared.queue.dispatch import DELIVERY_QUEUE
from shared.schemas.failures import FailureCode
from tests.support.ingest import records
from tests.support.ingest.serving import Ingest, until
from tests.support.ingest.sounds import wav

ATTEMPT = """
    INSERT INTO webhook_attempts (event_id, task_id, attempted_at, duration_ms, status, error, answer, next_attempt_at)
    VALUES ($1, $2, $3::text::timestamptz, $4, $5, $6, $7, $8::text::timestamptz)
"""


async def send_again(ingest: Ingest, job_id: object) -> tuple[int, dict[str, Any]]:
    return await ingest.post(None, path=f"/v1/jobs/{job_id}/webhook")


async def completed(ingest: Ingest) -> tuple[str, str, Any]:
    """A COMPLETED job, its event, and the event's deliver task."""
    job_id = await ingest.submit(wav(), webhook_url=records.HOOK)
    event = await records.complete(ingest, job_id)
    (delivery,) = await records.tasks_of(ingest, job_id, "deliver")
    return job_id, event, delivery


async def states(ingest: Ingest, job_id: str) -> list[str]:
    return [task["state"] for task in await records.tasks_of(ingest, job_id, "deliver")]


async def test_the_log_has_every_attempt_oldest_first(ingest: Ingest) -> None:
    job_id, event, delivery = await completed(ingest)
    _, other_event, other = await completed(ingest)
    rows = [
        (event, delivery, "2030-01-01T00:00:00Z", 120, 500, None, "Oops", "2030-01-01T00:00:05Z"),
        (other_event, other, "2030-01-01T00:00:01Z", 1, 200, None, "of another job", None),
        (event, delivery, "2030-01-01T00:00:05Z", 15000, None, "timeout", None, "2030-01-01T00:05:05Z"),
        (event, delivery, "2030-01-01T00:05:05Z", None, None, None, None, None),
    ]
    for row_event, task, *facts in rows:
        await ingest.sql(ATTEMPT, row_event, task["id"], *facts)

    status, log = await ingest.get(f"/v1/jobs/{job_id}/webhook-attempts")

    assert status == 200
    names = ("attempted_at", "duration_ms", "status", "error", "answer", "next_attempt_at")
    expected = [facts for row_event, _, *facts in rows if row_event == event]
    assert [[attempt[name] for name in names] for attempt in log["attempts"]] == expected
    assert {(attempt["event_id"], attempt["type"]) for attempt in log["attempts"]} == {(event, "job.completed")}


async def test_a_job_without_attempts_has_an_empty_log_and_other_tenants_logs_are_hidden(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    assert await ingest.get(f"/v1/jobs/{job_id}/webhook-attempts") == (200, {"attempts": []})
    await ingest.sql("UPDATE jobs SET tenant = 'other'")
    for each in (job_id, new_id(), "x"):
        assert (await ingest.get(f"/v1/jobs/{each}/webhook-attempts"))[0] == 404
        assert (await send_again(ingest, each))[0] == 404


async def test_sending_again_makes_a_new_task_for_the_same_event(ingest: Ingest) -> None:
    job_id, _, delivery = await completed(ingest)
    await records.end_task(ingest, delivery["id"], "done")

    status, accepted = await send_again(ingest, job_id)

    assert (status, accepted["job_id"], accepted["status"]) == (202, job_id, "COMPLETED")
    _, new = await records.tasks_of(ingest, job_id, "deliver")
    assert (new["state"], new["ordinal"], new["input"]) == ("dispatched", 1, delivery["input"])
    async with Redis.from_url(ingest.settings.redis_url.reveal()) as redis:

        async def is_rung() -> bool:
            return await redis.zscore(DELIVERY_QUEUE, f"{new['id']}.1") is not None

        await until(is_rung)


@pytest.mark.parametrize("state", ["dispatched", "running"])
async def test_a_running_delivery_is_not_repeated(ingest: Ingest, state: str) -> None:
    job_id, _, delivery = await completed(ingest)
    await ingest.sql("UPDATE tasks SET state = $2 WHERE id = $1", delivery["id"], state)
    assert (await send_again(ingest, job_id))[0] == 202
    assert await states(ingest, job_id) == [state]


async def test_a_waiting_delivery_is_due_at_once(ingest: Ingest) -> None:
    job_id, _, delivery = await completed(ingest)
    await ingest.sql("UPDATE tasks SET state = 'waiting', not_before = '2040-01-01' WHERE id = $1", delivery["id"])

    assert (await send_again(ingest, job_id))[0] == 202

    (task,) = await ingest.sql("SELECT state, not_before <= now() AS is_due FROM tasks WHERE id = $1", delivery["id"])
    assert (task["state"], task["is_due"]) == ("waiting", True)
    assert len(await records.tasks_of(ingest, job_id, "deliver")) == 1


async def test_sending_a_dead_delivery_again_dismisses_its_dead_letter(ingest: Ingest) -> None:
    job_id, _, delivery = await completed(ingest)
    await records.end_task(ingest, delivery["id"], "dead", FailureCode.WEBHOOK_REFUSED)
    assert (await send_again(ingest, job_id))[0] == 202
    assert (await ingest.get("/v1/dead-letters"))[1]["dead_letters"] == []
    assert await states(ingest, job_id) == ["dead", "dispatched"]


async def test_concurrent_requests_make_one_delivery(ingest: Ingest) -> None:
    job_id, _, delivery = await completed(ingest)
    await records.end_task(ingest, delivery["id"], "done")
    answers = await asyncio.gather(*(send_again(ingest, job_id) for _ in range(10)))
    assert [status for status, _ in answers] == [202] * 10
    assert await states(ingest, job_id) == ["done", "dispatched"]


async def test_the_newest_of_several_events_is_sent(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav(), webhook_url=records.HOOK)
    await records.fail(ingest, job_id)
    await ingest.post(None, path=f"/v1/dead-letters/{job_id}/redrive")
    await ingest.post(None, path=f"/v1/jobs/{job_id}/cancel")
    await ingest.sql("UPDATE tasks SET state = 'done' WHERE kind = 'deliver'")

    assert (await send_again(ingest, job_id))[1]["status"] == "CANCELLED"

    again = [task for task in await records.tasks_of(ingest, job_id, "deliver") if task["state"] == "dispatched"]
    assert [(task["generation"], task["ordinal"], "cancelled" in task["input"]) for task in again] == [(2, 1, True)]


async def test_a_job_that_has_not_ended_cannot_send_its_webhook(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav(), webhook_url=records.HOOK)
    for begin in (records.fail, None):
        status, problem = await send_again(ingest, job_id)
        assert (status, problem["code"]) == (409, "not_ended")
        if begin:
            await begin(ingest, job_id)
            await ingest.post(None, path=f"/v1/dead-letters/{job_id}/redrive")


async def test_a_job_without_a_webhook_is_refused(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    await records.complete(ingest, job_id)
    status, problem = await send_again(ingest, job_id)
    assert (status, problem["code"]) == (409, "no_webhook")


async def test_deliveries_by_request_are_bounded(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest_service.jobs.webhooks.MAX_DELIVERIES", 2)
    job_id, _, _ = await completed(ingest)
    for status in (202, 429):
        await ingest.sql("UPDATE tasks SET state = 'done' WHERE kind = 'deliver'")
        answer = await send_again(ingest, job_id)
        assert answer[0] == status
    assert (answer[1]["code"], "webhook_deliveries" in answer[1]["detail"]) == ("quota_exceeded", True)
    assert len(await states(ingest, job_id)) == 2
