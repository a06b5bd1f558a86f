"""What each outcome writes, on a real Postgres."""

import asyncio
import json
from uuid import UUID

import asyncpg
import msgspec
import pytest

from processor_service.audio.tracks import TrackChoice
from processor_service.audio.write_chunks import PreparedAudio
from processor_service.errors import LeaseLostError
from processor_service.tasks.claim import ClaimedTask, claim
from processor_service.tasks.leases import Leases
from processor_service.tasks.outcomes import (
    ChunkDone,
    ChunkInput,
    Crashed,
    Delivered,
    DeliveryAttempt,
    Failed,
    Interrupted,
    JobDone,
    LeaseLost,
    NotDelivered,
    Outcome,
    Split,
)
from processor_service.tasks.retry import MAX_CRASHES, RetryPolicy
from processor_service.tasks.settle import AfterCommit, settle
from shared.job_changes import CANCEL_TASKS
from shared.queue.dispatch import Dispatch
from shared.schemas.audio_tracks import AudioTrack
from shared.schemas.failures import Failure, FailureCode
from shared.schemas.states import JobStatus, TaskKind
from shared.schemas.webhook_events import event_body
from tests.service.processor.conftest import Claim, Submit, job_row, task_row
from tests.support.ingest.serving import until

POLICY = RetryPolicy(waits_s=(10.0, 20.0, 40.0), longest_retry_after_s=600)
AUDIO = PreparedAudio(
    duration_s=12.5,
    sample_rate_hz=16_000,
    channels=2,
    codec="pcm_16",
    chunk_count=2,
    decode_errors=0,
    track_choice=TrackChoice(number=1, tracks=(AudioTrack(number=0, codec="aac"), AudioTrack(number=1, codec="mp3"))),
)
SPANS = tuple(
    ChunkInput(
        file_start_frame=start, core_start_frame=start, core_end_frame=start + 100, sample_rate_hz=16_000, channels=2
    )
    for start in (0, 100)
)
TIMEOUT = Failure(code=FailureCode.TIMEOUT, message="slow", transient=True)
DAMAGED = Failure(code=FailureCode.UNDECODABLE_AUDIO, message="damaged", traceback="Traceback …")


async def _settle(database: asyncpg.Pool, task: ClaimedTask, outcome: Outcome) -> AfterCommit:
    return await settle(database, task, outcome, policy=POLICY)


async def test_one_of_many_claims_succeeds_and_starts_the_job(database: asyncpg.Pool, submit: Submit) -> None:
    task_id = await submit()

    claims = await asyncio.gather(*(claim(database, task_id, 1, worker=str(n), lease_s=15) for n in range(8)))

    (task,) = [one for one in claims if one is not None]
    job = await job_row(database, task.job_id)
    assert (job["status"], job["started_at"] is not None) == ("PROCESSING", True)


async def test_an_outdated_dispatch_claims_nothing(database: asyncpg.Pool, submit: Submit) -> None:
    assert await claim(database, await submit(), 2, worker="test", lease_s=15) is None


async def test_a_short_job_is_completed_and_its_webhook_dispatched(
    database: asyncpg.Pool, submit: Submit, claim_task: Claim
) -> None:
    task = await claim_task(await submit(webhook_url="http://client/hook"))

    await Leases(database, lease_s=15).record_audio(task, AUDIO)
    after_commit = await _settle(database, task, JobDone((), "openai-whisper", "tiny.en"))

    job = await job_row(database, task.job_id)
    assert (job["status"], job["stage"], job["duration_s"], job["channels"]) == ("COMPLETED", "finish", 12.5, 2)
    assert job["peaks_generation"] == 1
    done = await task_row(database, task.id)
    assert (done["engine"], done["model"]) == ("openai-whisper", "tiny.en")
    assert [track.get("transcribed") for track in json.loads(job["tracks"])] == [False, True]
    (dispatch,) = after_commit.dispatches
    delivery = await task_row(database, dispatch.task_id)
    event = await database.fetchrow("SELECT * FROM webhook_events WHERE job_id = $1", task.job_id)
    assert (delivery["kind"], delivery["state"]) == ("deliver", "dispatched")
    assert json.loads(delivery["input"]) == {"event_id": event["id"]}
    assert (event["type"], event["generation"]) == ("job.completed", 1)
    body = json.loads(event["body"])
    assert (body["type"], body["data"]["status"], body["data"]["error"]) == ("job.completed", "COMPLETED", None)


async def test_the_engine_of_each_chunk_is_recorded(database: asyncpg.Pool, submit: Submit, claim_task: Claim) -> None:
    task = await claim_task(await submit())
    split = (await _settle(database, task, Split(AUDIO.duration_s, SPANS, ()))).dispatches
    outcomes = (ChunkDone("groq", "whisper-large-v3"), ChunkDone())  # the second labels speakers only
    for dispatch, outcome in zip(split, outcomes, strict=True):
        await _settle(database, await claim_task(dispatch.task_id), outcome)
    rows = [await task_row(database, one.task_id) for one in split]
    assert [(row["engine"], row["model"]) for row in rows] == [("groq", "whisper-large-v3"), (None, None)]


async def test_the_time_is_recorded_at_which_a_short_file_is_transcribed(
    database: asyncpg.Pool, submit: Submit, claim_task: Claim
) -> None:
    leases, whole = Leases(database, lease_s=15), msgspec.structs.replace(AUDIO, chunk_count=1)
    short, long = await claim_task(await submit()), await claim_task(await submit())
    await leases.record_audio(short, whole)
    await leases.record_audio(long, AUDIO)
    job, row = await job_row(database, short.job_id), await task_row(database, short.id)
    assert job["stage"] == "transcribe"
    assert job["transcribing_since"] >= row["started_at"]
    job = await job_row(database, long.job_id)
    assert (job["stage"], job["transcribing_since"]) == ("prepare", None)


@pytest.mark.parametrize("interactive", [False, True])
async def test_every_task_of_a_job_has_the_jobs_class(
    database: asyncpg.Pool, submit: Submit, claim_task: Claim, interactive: object
) -> None:
    task_id = await submit()
    await database.execute("UPDATE jobs SET interactive = $1", interactive)
    prepare = await claim_task(task_id)
    again = (await _settle(database, prepare, Interrupted())).dispatches
    split = (await _settle(database, await claim_task(task_id), Split(AUDIO.duration_s, SPANS, ()))).dispatches
    (none,) = [await _settle(database, await claim_task(one.task_id), ChunkDone()) for one in split[:1]]
    finish = (await _settle(database, await claim_task(split[1].task_id), ChunkDone())).dispatches
    assert none.dispatches == ()
    assert [one.interactive for one in (*again, *split, *finish)] == [interactive] * 4


async def test_chunks_that_end_at_the_same_moment_create_one_finish_task(
    database: asyncpg.Pool, submit: Submit, claim_task: Claim
) -> None:
    prepare = await claim_task(await submit())
    split = await _settle(database, prepare, Split(AUDIO.duration_s, SPANS, ()))
    assert [(one.tenant, one.cost_s, one.has_begun) for one in split.dispatches] == 2 * [("default", 7, False)]
    chunks = [await claim_task(one.task_id) for one in split.dispatches]
    assert [one.ordinal for one in chunks] == [0, 1]

    after_commits = await asyncio.gather(*(_settle(database, one, ChunkDone()) for one in chunks))

    (finish,) = [dispatch for after_commit in after_commits for dispatch in after_commit.dispatches]
    assert finish.kind is TaskKind.FINISH
    assert (await job_row(database, prepare.job_id))["stage"] == "finish"
    await _settle(database, await claim_task(finish.task_id), JobDone(()))
    assert (await job_row(database, prepare.job_id))["status"] == "COMPLETED"


async def test_a_transient_failure_waits_and_the_job_stays_processing(
    database: asyncpg.Pool, submit: Submit, claim_task: Claim
) -> None:
    task = await claim_task(await submit())

    after_commit = await _settle(database, task, Failed(TIMEOUT))

    assert after_commit.dispatches == ()
    row = await task_row(database, task.id)
    wait_s = (row["not_before"] - row["last_failed_at"]).total_seconds()
    assert (row["state"], row["attempts"]) == ("waiting", 1)
    assert 10 <= wait_s <= 11
    assert after_commit.due_in_s == pytest.approx(wait_s)
    assert (await job_row(database, task.job_id))["status"] == "PROCESSING"


async def test_a_permanent_failure_is_a_dead_letter_and_a_failed_job(
    database: asyncpg.Pool, submit: Submit, claim_task: Claim
) -> None:
    task = await claim_task(await submit(webhook_url="http://client/hook"))

    after_commit = await _settle(database, task, Failed(DAMAGED))

    job = await job_row(database, task.job_id)
    assert (job["status"], job["error_code"], job["error_message"]) == ("FAILED", "undecodable_audio", "damaged")
    assert after_commit.has_dead_letter
    assert [one.kind for one in after_commit.dispatches] == [TaskKind.DELIVER]


async def test_a_dead_chunk_cancels_its_siblings(database: asyncpg.Pool, submit: Submit, claim_task: Claim) -> None:
    prepare = await claim_task(await submit())
    first, second = (await _settle(database, prepare, Split(AUDIO.duration_s, SPANS, ()))).dispatches
    running = await claim_task(second.task_id)

    await _settle(database, await claim_task(first.task_id), Failed(DAMAGED))

    assert (await task_row(database, running.id))["state"] == "cancelled"
    with pytest.raises(LeaseLostError):
        await _settle(database, running, ChunkDone())


async def test_a_dead_delivery_leaves_the_job_completed(
    database: asyncpg.Pool, submit: Submit, claim_task: Claim
) -> None:
    task = await claim_task(await submit(webhook_url="http://client/hook"))
    (dispatch,) = (await _settle(database, task, JobDone(()))).dispatches

    await _settle(database, await claim_task(dispatch.task_id), Failed(DAMAGED))

    assert (await job_row(database, task.job_id))["status"] == "COMPLETED"
    assert (await task_row(database, dispatch.task_id))["state"] == "dead"


async def test_a_successful_delivery_is_done_and_recorded(
    database: asyncpg.Pool, submit: Submit, claim_task: Claim
) -> None:
    delivery = await claim_task((await _deliver_task(database, submit, claim_task)).task_id)
    attempt_id = await _begin_attempt(database, delivery)

    await _settle(database, delivery, Delivered(DeliveryAttempt(id=attempt_id, duration_ms=12, status=204)))

    assert (await task_row(database, delivery.id))["state"] == "done"
    row = await database.fetchrow("SELECT * FROM webhook_attempts WHERE id = $1", attempt_id)
    assert (row["duration_ms"], row["status"], row["next_attempt_at"]) == (12, 204, None)


async def test_a_failed_delivery_waits_and_its_row_shows_the_next_attempt(
    database: asyncpg.Pool, submit: Submit, claim_task: Claim
) -> None:
    delivery = await claim_task((await _deliver_task(database, submit, claim_task)).task_id)
    attempt_id = await _begin_attempt(database, delivery)
    failure = Failure(code=FailureCode.WEBHOOK_REFUSED, message="503", transient=True, retry_after_s=7)
    attempt = DeliveryAttempt(id=attempt_id, duration_ms=3, status=503, answer="later")

    await _settle(database, delivery, NotDelivered(attempt, failure))

    task = await task_row(database, delivery.id)
    row = await database.fetchrow("SELECT * FROM webhook_attempts WHERE id = $1", attempt_id)
    assert (task["state"], task["attempts"]) == ("waiting", 1)
    assert (row["status"], row["answer"], row["next_attempt_at"]) == (503, "later", task["not_before"])
    assert (row["next_attempt_at"] - task["last_failed_at"]).total_seconds() == 7


async def _deliver_task(database: asyncpg.Pool, submit: Submit, claim_task: Claim) -> Dispatch:
    task = await claim_task(await submit(webhook_url="http://client/hook"))
    (dispatch,) = (await _settle(database, task, JobDone(()))).dispatches
    return dispatch


async def _begin_attempt(database: asyncpg.Pool, delivery: ClaimedTask) -> int:
    event = await database.fetchval("SELECT id FROM webhook_events WHERE job_id = $1", delivery.job_id)
    insert = "INSERT INTO webhook_attempts (event_id, task_id) VALUES ($1, $2) RETURNING id"
    return int(await database.fetchval(insert, event, delivery.id))


async def test_an_interruption_is_no_attempt_and_dispatches_again(
    database: asyncpg.Pool, submit: Submit, claim_task: Claim
) -> None:
    task = await claim_task(await submit())

    (dispatch,) = (await _settle(database, task, Interrupted())).dispatches

    row = await task_row(database, task.id)
    assert (dispatch.dispatch_no, row["state"], row["attempts"], row["crashes"]) == (2, "dispatched", 0, 0)


async def test_the_third_crash_is_poison(database: asyncpg.Pool, submit: Submit, claim_task: Claim) -> None:
    task_id = await submit()
    states = []
    for _ in range(MAX_CRASHES):
        task = await claim_task(task_id)
        await _settle(database, task, Crashed("status -11"))
        states.append((await task_row(database, task_id))["state"])

    assert states == ["dispatched", "dispatched", "dead"]
    assert (await job_row(database, task.job_id))["error_code"] == "poison"


@pytest.mark.parametrize(
    "outcome", [JobDone(()), Split(AUDIO.duration_s, SPANS, ()), Failed(DAMAGED), Interrupted(), Crashed("x")]
)
async def test_a_stale_workers_writes_are_rejected(
    database: asyncpg.Pool, submit: Submit, claim_task: Claim, outcome: Outcome
) -> None:
    stale = await claim_task(await submit())
    await _settle(database, stale, Interrupted())
    owner = await claim_task(stale.id)
    before = await _everything(database, stale.job_id)

    with pytest.raises(LeaseLostError):
        await _settle(database, stale, outcome)

    assert await _everything(database, stale.job_id) == before
    assert owner.lease_token > stale.lease_token


@pytest.mark.parametrize("outcome", [JobDone(()), Split(AUDIO.duration_s, SPANS, ()), ChunkDone(), Failed(TIMEOUT)])
async def test_a_settlement_that_waits_for_a_cancellation_writes_nothing(
    database: asyncpg.Pool, submit: Submit, claim_task: Claim, outcome: Outcome
) -> None:
    task = await claim_task(await submit(webhook_url="http://client/hook"))
    async with database.acquire() as client, client.transaction():
        await client.execute("SELECT FROM jobs WHERE id = $1 FOR UPDATE", task.job_id)
        settling = asyncio.create_task(_settle(database, task, outcome))
        await until(lambda: database.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"))
        await client.execute("UPDATE jobs SET status = 'CANCELLED', completed_at = now() WHERE id = $1", task.job_id)
        await client.execute(CANCEL_TASKS, task.job_id, task.generation)
        during = await client.fetch("SELECT * FROM tasks")

    with pytest.raises(LeaseLostError):
        await settling

    assert await database.fetch("SELECT * FROM tasks") == during
    assert await database.fetchval("SELECT count(*) FROM webhook_events") == 0
    assert (await job_row(database, task.job_id))["status"] == "CANCELLED"


async def test_the_event_has_the_time_and_the_metadata_of_the_job(
    database: asyncpg.Pool, submit: Submit, claim_task: Claim
) -> None:
    task = await claim_task(await submit(webhook_url="http://client/hook"))
    metadata = '{"error":  null, "metadata": "\\u00e4 1970-01-01T00:00:00Z", "größe": [1.50]}'
    await database.execute("UPDATE jobs SET metadata = $1", metadata)

    await _settle(database, task, JobDone(()))

    job = await job_row(database, task.job_id)
    body = await database.fetchval("SELECT body FROM webhook_events")
    ended_at = job["completed_at"]
    assert body == event_body(job["id"], JobStatus.COMPLETED, ended_at=ended_at, metadata_json=metadata)


async def test_a_lost_lease_is_an_outcome_that_writes_nothing(
    database: asyncpg.Pool, submit: Submit, claim_task: Claim
) -> None:
    task = await claim_task(await submit())
    before = await _everything(database, task.job_id)

    assert await _settle(database, task, LeaseLost()) == AfterCommit()
    assert await _everything(database, task.job_id) == before


async def _everything(database: asyncpg.Pool, job_id: UUID) -> list[dict[str, object]]:
    tasks = await database.fetch("SELECT * FROM tasks WHERE job_id = $1 ORDER BY id", job_id)
    return [dict(await job_row(database, job_id)), *(dict(task) for task in tasks)]
