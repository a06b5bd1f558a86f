"""`GET /v1/jobs/{job_id}/work`: stages with times, and tasks with attempts, spans, engines and last errors."""

import datetime as dt
from typing import Any
from uuid import UUID

import msgspec

from ingest_service.jobs.work import MOST_TASKS
from shared.schemas.failures import Failure, FailureCode
from shared.schemas.states import JobStatus, TaskKind
from tests.support.ingest import records
from tests.support.ingest.serving import Ingest
from tests.support.ingest.sounds import wav

RATE_HZ = 16_000
STARTED = dt.datetime(2026, 1, 2, 3, 0, 0, tzinfo=dt.UTC)

RUN = """
    UPDATE tasks SET state = $2, started_at = $3, finished_at = $4, engine = $5, model = $6, attempts = $7, crashes = $8
    WHERE id = $1
"""


def at(seconds: float) -> dt.datetime:
    return STARTED + dt.timedelta(seconds=seconds)


def shown(seconds: float) -> str:
    return at(seconds).isoformat().replace("+00:00", "Z")


async def work(ingest: Ingest, job_id: str) -> dict[str, Any]:
    status, body = await ingest.get(f"/v1/jobs/{job_id}/work")
    assert status == 200, body
    return body


async def run(  # noqa: PLR0913 - the columns that an attempt writes
    ingest: Ingest,
    task_id: UUID,
    state: str,
    *times_s: float | None,
    engine: tuple[str, str] | None = None,
    attempts: int = 0,
    crashes: int = 0,
) -> None:
    times = [None if each is None else at(each) for each in (*times_s, None, None)[:2]]
    await ingest.sql(RUN, task_id, state, *times, *(engine or (None, None)), attempts, crashes)


async def prepare_of(ingest: Ingest, job_id: str, generation: int = 1) -> UUID:
    (task,) = await records.tasks_of(ingest, job_id, "prepare", generation)
    return UUID(str(task["id"]))


def chunk_input(start_s: float, end_s: float) -> str:
    edges = {"core_start_frame": round(start_s * RATE_HZ), "core_end_frame": round(end_s * RATE_HZ)}
    return msgspec.json.encode({"file_start_frame": 0, **edges, "sample_rate_hz": RATE_HZ, "channels": 2}).decode()


async def chunk(ingest: Ingest, job_id: str, ordinal: int, generation: int = 1) -> UUID:
    span = chunk_input(600.0 * ordinal, 600.0 * (ordinal + 1))
    return await records.insert_task(ingest, job_id, TaskKind.CHUNK, ordinal, input_json=span, generation=generation)


async def fail_once(ingest: Ingest, task_id: UUID, message: str, traceback: str = 'File "/secret/x.py", \x00') -> None:
    failure = Failure(code=FailureCode.TIMEOUT, message=message, traceback=traceback, transient=True)
    await ingest.sql("UPDATE tasks SET failure = $2 WHERE id = $1", task_id, msgspec.json.encode(failure).decode())


async def long_job(ingest: Ingest) -> tuple[str, list[UUID]]:
    """A job of two chunks, split after 5 s."""
    job_id = await ingest.submit(wav())
    await ingest.sql(
        "UPDATE jobs SET status = 'PROCESSING', stage = 'transcribe', started_at = $2, chunk_count = 2, "
        "chunk_generation = 1, duration_s = 1200 WHERE id = $1",
        job_id, at(0),
    )  # fmt: skip
    await run(ingest, await prepare_of(ingest, job_id), "done", 0, 5)
    return job_id, [await chunk(ingest, job_id, ordinal) for ordinal in range(2)]


async def test_a_queued_job_has_a_task_and_no_stage(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav(), webhook_url=records.HOOK)
    assert await work(ingest, job_id) == {
        "stages": [],
        "tasks": [
            {
                "kind": "prepare", "chunk_index": None, "start_s": None, "end_s": None, "state": "dispatched",
                "attempts": 0, "started_at": None, "ended_at": None, "engine": None, "model": None, "error": None,
            }
        ],
    }  # fmt: skip


async def test_a_short_job_passes_all_stages_in_one_task(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav(), webhook_url=records.HOOK)
    task = await prepare_of(ingest, job_id)
    await run(ingest, task, "running", 0)
    assert (await work(ingest, job_id))["stages"] == [{"name": "prepare", "started_at": shown(0), "ended_at": None}]

    await ingest.sql("UPDATE jobs SET transcribing_since = $2, duration_s = 12.3456 WHERE id = $1", job_id, at(2))
    assert [stage["name"] for stage in (await work(ingest, job_id))["stages"]] == ["prepare", "transcribe"]

    await run(ingest, task, "done", 0, 9, engine=("openai-whisper", "tiny.en"))
    await records.end_job(ingest, job_id, JobStatus.COMPLETED)

    found = await work(ingest, job_id)
    assert found["stages"] == [
        {"name": "prepare", "started_at": shown(0), "ended_at": shown(2)},
        {"name": "transcribe", "started_at": shown(2), "ended_at": shown(9)},
        {"name": "finish", "started_at": shown(9), "ended_at": shown(9)},
    ]
    (only,) = found["tasks"]
    assert (only["engine"], only["model"], only["attempts"]) == ("openai-whisper", "tiny.en", 1)
    assert (only["start_s"], only["end_s"]) == (0, 12.346)


async def test_a_short_job_of_an_older_version_has_one_stage(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    await run(ingest, await prepare_of(ingest, job_id), "done", 0, 9)
    await records.end_job(ingest, job_id, JobStatus.COMPLETED)
    found = await work(ingest, job_id)
    assert found["stages"] == [{"name": "prepare", "started_at": shown(0), "ended_at": shown(9)}]
    assert found["tasks"][0]["engine"] is None


async def test_an_attempt_that_begins_again_is_not_transcribing_yet(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    await ingest.sql("UPDATE jobs SET transcribing_since = $2 WHERE id = $1", job_id, at(2))
    await run(ingest, await prepare_of(ingest, job_id), "running", 10, attempts=1)
    assert (await work(ingest, job_id))["stages"] == [{"name": "prepare", "started_at": shown(10), "ended_at": None}]


async def test_a_long_job_has_spans_engines_attempts_and_errors(ingest: Ingest) -> None:
    job_id, chunks = await long_job(ingest)
    await run(ingest, chunks[0], "done", 6, 60, engine=("groq", "whisper-large-v3"), attempts=1, crashes=1)
    await fail_once(ingest, chunks[0], 'It said "slow" at C:\\x.')
    await run(ingest, chunks[1], "running", 7)

    found = await work(ingest, job_id)

    assert found["stages"] == [
        {"name": "prepare", "started_at": shown(0), "ended_at": shown(5)},
        {"name": "transcribe", "started_at": shown(6), "ended_at": None},
    ]
    assert [(task["kind"], task["chunk_index"]) for task in found["tasks"]] == [
        ("prepare", None), ("chunk", 0), ("chunk", 1),
    ]  # fmt: skip
    _, first, second = found["tasks"]
    assert (first["start_s"], first["end_s"], first["attempts"], first["state"]) == (0, 600, 3, "done")
    assert (first["engine"], first["model"]) == ("groq", "whisper-large-v3")
    assert first["error"] == {"code": "timeout", "message": 'It said "slow" at C:\\x.'}
    assert (second["start_s"], second["end_s"], second["attempts"], second["error"]) == (600, 1200, 1, None)
    assert "secret" not in msgspec.json.encode(found).decode()


async def test_the_finish_of_a_long_job(ingest: Ingest) -> None:
    job_id, chunks = await long_job(ingest)
    for number, task in enumerate(chunks):
        await run(ingest, task, "done", 6, 60 + number, engine=("a", "b"))
    await run(ingest, await records.insert_task(ingest, job_id, TaskKind.FINISH), "done", 62, 63)
    await records.end_job(ingest, job_id, JobStatus.COMPLETED)
    found = await work(ingest, job_id)
    assert found["stages"][1:] == [
        {"name": "transcribe", "started_at": shown(6), "ended_at": shown(61)},
        {"name": "finish", "started_at": shown(62), "ended_at": shown(63)},
    ]
    assert [task["kind"] for task in found["tasks"]] == ["prepare", "chunk", "chunk", "finish"]
    assert found["tasks"][-1]["engine"] is None


async def test_a_redrive_keeps_the_work_that_is_done(ingest: Ingest) -> None:
    job_id, chunks = await long_job(ingest)
    await run(ingest, chunks[0], "done", 6, 60, engine=("a", "b"))
    await run(ingest, chunks[1], "running", 7)
    await records.end_task(ingest, chunks[1], "dead", FailureCode.TIMEOUT)
    await records.end_job(ingest, job_id, JobStatus.FAILED, FailureCode.TIMEOUT)
    for _ in range(2):  # also of a generation that itself continued another one
        assert (await ingest.post(None, path=f"/v1/dead-letters/{job_id}/redrive"))[0] == 202

        found = await work(ingest, job_id)

        assert found["stages"] == [
            {"name": "prepare", "started_at": shown(0), "ended_at": shown(5)},
            {"name": "transcribe", "started_at": shown(6), "ended_at": None},
        ]
        prepare, first, second = found["tasks"]
        assert (prepare["kind"], prepare["state"]) == ("prepare", "done")
        assert (first["started_at"], first["ended_at"], first["engine"]) == (shown(6), shown(60), "a")
        assert (second["state"], second["started_at"], second["error"]) == ("dispatched", None, None)
        again = (await records.tasks_of(ingest, job_id, "chunk"))[-1]["id"]
        await records.end_task(ingest, again, "dead", FailureCode.TIMEOUT)
        await records.end_job(ingest, job_id, JobStatus.FAILED, FailureCode.TIMEOUT)


async def test_a_repeated_diarization_shows_who_transcribed(ingest: Ingest) -> None:
    job_id, chunks = await long_job(ingest)
    for task in chunks:
        await run(ingest, task, "done", 6, 60, engine=("a", "b"))
    await records.end_job(ingest, job_id, JobStatus.COMPLETED)
    assert (await ingest.post(None, path=f"/v1/jobs/{job_id}/diarize"))[0] == 202
    await run(ingest, await prepare_of(ingest, job_id, 2), "done", 100, 105)
    await ingest.sql("UPDATE jobs SET chunk_count = 2, chunk_generation = 2 WHERE id = $1", job_id)
    same = await chunk(ingest, job_id, 0, generation=2)
    await run(ingest, same, "running", 106)
    other_cut = chunk_input(590, 1200)
    await records.insert_task(ingest, job_id, TaskKind.CHUNK, 1, input_json=other_cut, generation=2)

    found = await work(ingest, job_id)

    assert [(task["kind"], task["engine"]) for task in found["tasks"]] == [
        ("prepare", None), ("chunk", "a"), ("chunk", None),
    ]  # fmt: skip
    assert found["stages"][0] == {"name": "prepare", "started_at": shown(100), "ended_at": shown(105)}


async def test_the_answer_is_bounded(ingest: Ingest) -> None:
    """Postgres expects few tasks: it counted them before they came."""
    await ingest.sql("ANALYZE jobs, tasks")
    job_id, _ = await long_job(ingest)
    failure = msgspec.json.encode({"code": "timeout", "message": "m", "traceback": "x" * 8000}).decode()
    await ingest.sql(
        "INSERT INTO tasks (id, job_id, kind, ordinal, input, failure) SELECT gen_random_uuid(), $1, 'chunk', number, "
        "$2::json, $3::json FROM generate_series(2, 1500) AS number",
        job_id,
        chunk_input(0, 1),
        failure,
    )
    async with ingest.client.get(f"{ingest.url}/v1/jobs/{job_id}/work") as answer:
        body = await answer.read()
    assert len(body) < 1 << 19
    tasks = msgspec.json.decode(body)["tasks"]
    assert [task["chunk_index"] for task in tasks] == [None, *range(MOST_TASKS - 1)]


async def test_jobs_that_do_not_exist_or_are_erased(ingest: Ingest) -> None:
    assert (await ingest.get("/v1/jobs/x/work"))[0] == 404
    job_id = await ingest.submit(wav())
    await ingest.delete(f"/v1/jobs/{job_id}")
    status, problem = await ingest.get(f"/v1/jobs/{job_id}/work")
    assert (status, problem["code"]) == (410, "job_erased")
