"""A summarize task on a real Postgres, blob store and chat provider: it ends the job, and never fails it."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from processor_service.errors import TransientError
from processor_service.settings import ProcessorSettings
from processor_service.stages.summarize import Summarizer
from processor_service.summaries.chat_api import open_chats
from processor_service.tasks.claim import ClaimedTask
from processor_service.tasks.leases import Leases
from processor_service.tasks.outcomes import Crashed, Failed, JobDone, Transcribed
from processor_service.tasks.retry import MAX_CRASHES, RetryPolicy
from processor_service.tasks.settle import settle
from shared.blobs import blob_keys
from shared.blobs.blob_errors import BlobNotFoundError
from shared.blobs.blob_store import BlobStore
from shared.queue.dispatch import SUMMARY_QUEUE
from shared.schemas.failures import Failure, FailureCode
from shared.schemas.transcript import ResultWarning, Transcript
from shared.secret import Secret
from tests.service.processor.conftest import Claim, Submit, job_row, task_row
from tests.support.providers.provider import in_turn
from tests.support.summaries.chat import KEY, by_request, chat_settings, saying, sensible, transcript_of
from tests.support.webhooks.endpoint import Endpoint, Script, answering, stalling, status

POLICY = RetryPolicy(waits_s=(10.0, 20.0), longest_retry_after_s=600)
QUIET = ResultWarning(code="quiet", message="The speech is very quiet.")
DONE = JobDone((QUIET,), "openai-whisper", "tiny.en", speakers=2)
BEFORE = msgspec.structs.replace(
    transcript_of(["Hello.", "Goodbye."], speaker="SPEAKER_00"),
    warnings=(QUIET,),
    speakers=("SPEAKER_00", "SPEAKER_01"),
)

Summarizing = Callable[..., Awaitable[ClaimedTask]]


@pytest.fixture
def blobs(storage_url: str) -> BlobStore:
    return BlobStore(storage_url)


@pytest.fixture
def summarizing(database: asyncpg.Pool, submit: Submit, claim_task: Claim, blobs: BlobStore) -> Summarizing:
    """Claim the summarize task of a job whose text is stored."""

    async def claim_one(transcript: Transcript = BEFORE, **submitted: Any) -> ClaimedTask:
        task_id = await submit(**submitted)
        await database.execute("UPDATE jobs SET options = $1", '{"summary":true,"chapters":true}')
        task = await claim_task(task_id)
        await blobs.put(blob_keys.transcript(task.job_id, 1), msgspec.json.encode(transcript))
        after = await settle(database, task, Transcribed(DONE), policy=POLICY)
        (dispatch,) = after.dispatches
        assert (dispatch.queue, dispatch.cost_s) == (SUMMARY_QUEUE, 1)
        return await claim_task(dispatch.task_id)

    return claim_one


@asynccontextmanager
async def summarizer(
    database: asyncpg.Pool, blobs: BlobStore, script: Script | None, **settings: Any
) -> AsyncIterator[tuple[Summarizer, Endpoint]]:
    values = ProcessorSettings(
        database_url=Secret("postgres:"), redis_url=Secret("redis:"), storage_url="file:///tmp", **settings
    )
    async with Endpoint(script or answering()).listening() as endpoint:
        chosen = [chat_settings(endpoint)] if script else []
        async with open_chats(chosen) as chats:
            yield Summarizer(chats=chats, blobs=blobs, leases=Leases(database, lease_s=15), settings=values), endpoint


async def stored(blobs: BlobStore, job_id: UUID) -> Transcript:
    return msgspec.json.decode(await blobs.get(blob_keys.transcript(job_id, 1)), type=Transcript)


def codes(warnings: Any) -> list[str]:
    return [one["code"] if isinstance(one, dict) else one.code for one in warnings]


async def test_a_job_waits_for_its_summary_and_ends_with_it(
    database: asyncpg.Pool, blobs: BlobStore, summarizing: Summarizing
) -> None:
    task = await summarizing(webhook_url="http://client/hook")
    job = await job_row(database, task.job_id)
    assert (job["status"], job["stage"], codes(json.loads(job["warnings"]))) == ("PROCESSING", "summarize", ["quiet"])

    async with summarizer(database, blobs, by_request(sensible)) as (work, endpoint):
        done = await work.summarize(task, POLICY)
    await settle(database, task, done, policy=POLICY)

    after, job = await stored(blobs, task.job_id), await job_row(database, task.job_id)
    assert (job["status"], job["speakers"], job["warning_codes"]) == ("COMPLETED", 2, ["quiet"])
    assert (after.summary, after.action_items) == ("A talk of 2 lines.", msgspec.UNSET)
    assert after.segments == BEFORE.segments
    assert msgspec.to_builtins(after.summarized_by)["requests"] == endpoint.hits == 1
    events = await database.fetch("SELECT body FROM webhook_events WHERE job_id = $1", task.job_id)
    assert [json.loads(one["body"])["data"]["made"] for one in events] == [["summary", "chapters"]]
    with pytest.raises(BlobNotFoundError):
        await blobs.get(blob_keys.summary_progress(task.job_id, 1))


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (answering(status(401)), "The provider acme answered 401."),
        (saying("nothing valid"), "`summary` and `chapters` could not be made. The providers sent no valid answer."),
        (None, "This server has no chat provider."),
        (stalling(), "The chat providers took longer than 0.3 s."),
    ],
    ids=["denied", "invalid", "none", "silent"],
)
async def test_what_cannot_be_had_is_a_warning(
    database: asyncpg.Pool, blobs: BlobStore, summarizing: Summarizing, script: Script | None, why: str
) -> None:
    task = await summarizing()

    timeout_s = 0.3 if "0.3" in why else 60
    async with summarizer(database, blobs, script, summary_timeout_s=timeout_s) as (work, _):
        await settle(database, task, await work.summarize(task, POLICY), policy=POLICY)

    after, job = await stored(blobs, task.job_id), await job_row(database, task.job_id)
    assert (job["status"], job["error_code"]) == ("COMPLETED", None)
    assert job["warning_codes"] == ["quiet", "summary_unavailable"]
    assert codes(after.warnings) == ["quiet", "summary_unavailable"]
    assert after.warnings[-1].message.endswith(why)
    assert (after.text, after.summary) == (BEFORE.text, msgspec.UNSET)
    assert KEY not in job["warnings"]


async def test_attempts_are_repeated_and_the_last_one_gives_up(
    database: asyncpg.Pool, blobs: BlobStore, summarizing: Summarizing, claim_task: Claim
) -> None:
    task = await summarizing()
    async with summarizer(database, blobs, answering(status(503))) as (work, endpoint):
        for wait_s in POLICY.waits_s:
            with pytest.raises(TransientError) as raised:
                await work.summarize(task, POLICY)
            failure = Failure(code=raised.value.code, message=raised.value.message, transient=True)
            after = await settle(database, task, Failed(failure), policy=POLICY)
            assert wait_s <= (after.due_in_s or 0) <= wait_s * 1.1
            assert (await task_row(database, task.id))["state"] == "waiting"
            await database.execute("UPDATE tasks SET state = 'dispatched' WHERE id = $1", task.id)
            task = await claim_task(task.id)
        await settle(database, task, await work.summarize(task, POLICY), policy=POLICY)

    job = await job_row(database, task.job_id)
    assert (job["status"], job["warning_codes"]) == ("COMPLETED", ["quiet", "summary_unavailable"])
    assert endpoint.hits == len(POLICY.waits_s) + 1


async def test_an_attempt_after_a_crash_asks_nothing_again(
    database: asyncpg.Pool, blobs: BlobStore, summarizing: Summarizing
) -> None:
    task = await summarizing()
    async with summarizer(database, blobs, by_request(sensible)) as (work, endpoint):
        first = await work.summarize(task, POLICY)  # its worker dies before the commit
        again = await work.summarize(task, POLICY)
    assert (first, endpoint.hits) == (again, 1)


@pytest.mark.parametrize(
    "failure", [None, Failure(code=FailureCode.INTERNAL, message="a defect")], ids=["poison", "bug"]
)
async def test_a_task_that_cannot_store_a_warning_completes_its_job_with_one(
    database: asyncpg.Pool, summarizing: Summarizing, claim_task: Claim, failure: Failure | None
) -> None:
    task = await summarizing(webhook_url="http://client/hook")
    if failure:
        await settle(database, task, Failed(failure), policy=POLICY)
    else:
        for _ in range(MAX_CRASHES - 1):
            await settle(database, task, Crashed("killed"), policy=POLICY)
            task = await claim_task(task.id)
        await settle(database, task, Crashed("killed"), policy=POLICY)

    job, row = await job_row(database, task.job_id), await task_row(database, task.id)
    assert (job["status"], job["speakers"], row["state"]) == ("COMPLETED", 2, "done")
    assert job["warning_codes"] == ["quiet", "summary_unavailable"]
    deliveries = await database.fetchval(
        "SELECT count(*) FROM tasks WHERE job_id = $1 AND kind = 'deliver'", task.job_id
    )
    assert deliveries == 1


async def test_silence_is_not_summarized(database: asyncpg.Pool, blobs: BlobStore, summarizing: Summarizing) -> None:
    task = await summarizing(Transcript(text="", language=None, duration=3.0, segments=()))
    async with summarizer(database, blobs, saying("{}")) as (work, endpoint):
        done = await work.summarize(task, POLICY)
    assert (done.warnings, done.made, endpoint.hits) == ((), (), 0)


async def test_a_worker_without_its_lease_stores_nothing(
    database: asyncpg.Pool, blobs: BlobStore, summarizing: Summarizing
) -> None:
    task = await summarizing()
    await database.execute("UPDATE tasks SET lease_token = lease_token + 1 WHERE id = $1", task.id)
    async with summarizer(database, blobs, by_request(sensible)) as (work, _):
        with pytest.raises(TransientError, match="Another worker"):
            await work.summarize(task, POLICY)
    assert await stored(blobs, task.job_id) == BEFORE


async def test_a_provider_that_recovers_is_asked_for_the_rest(
    database: asyncpg.Pool, blobs: BlobStore, summarizing: Summarizing
) -> None:
    task = await summarizing()
    async with summarizer(database, blobs, in_turn(answering(status(503)), by_request(sensible))) as (work, _):
        with pytest.raises(TransientError):
            await work.summarize(task, POLICY)
        done = await work.summarize(task, POLICY)
    use = (await stored(blobs, task.job_id)).summarized_by
    assert (done.made, msgspec.to_builtins(use)["requests"]) == (("summary", "chapters"), 2)
