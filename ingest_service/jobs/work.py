"""Show the work of a job: its stages with their times, and its tasks with attempts, spans, engines and last errors."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ingest_service.database import Database
from ingest_service.jobs.pages import page_of
from ingest_service.jobs.queries import JobReader
from shared.schemas.api import JobWork, ProblemInJob, StageTimes, TaskView
from shared.schemas.failures import StoredFailure
from shared.schemas.states import Stage, TaskKind, TaskState

MOST_TASKS = 1000  # that are shown; a day of audio has 146
IN_ORDER = (TaskKind.PREPARE, TaskKind.CHUNK, TaskKind.FINISH, TaskKind.SUMMARIZE)

# The tasks of the current generation, and the prepare task that cut its chunks. A repeated diarization transcribes
# nothing: its chunks have the engines of the generation whose text they label. Tracebacks stay in the database.
# A window finds those engines: a join of the tasks with themselves is quadratic where Postgres expects few of them.
_TASKS = rf"""
    SELECT kind, ordinal, state, attempts, started_at, finished_at, input, engine, model, chunk_count, duration_s,
           transcribing_since, start_s,
           regexp_replace(failure::text, ',\s*"traceback"\s*:\s*"(\\.|[^"\\])*"', '') AS failure
    FROM (
        SELECT t.kind, t.ordinal, t.state, t.started_at, t.finished_at, t.input, t.failure,
               t.attempts + t.crashes + (t.state IN ('running', 'done'))::int AS attempts,
               coalesce(t.engine, max(t.engine) FILTER (WHERE t.generation = j.text_generation) OVER same) AS engine,
               coalesce(t.model, max(t.model) FILTER (WHERE t.generation = j.text_generation) OVER same) AS model,
               j.chunk_count, j.duration_s, j.transcribing_since,
               coalesce((j.options ->> 'start')::float, 0) AS start_s,
               t.generation = j.generation OR t.generation = j.chunk_generation AND t.kind = 'prepare' AS is_shown
        FROM jobs j
        JOIN tasks t ON t.job_id = $2 AND t.generation IN (j.generation, j.chunk_generation, j.text_generation)
            AND t.kind <> 'deliver'
        WHERE j.tenant = $1 AND j.id = $2
        WINDOW same AS (PARTITION BY t.kind, t.ordinal, t.input::text)
    ) tasks_of_job
    WHERE is_shown
    ORDER BY kind = 'chunk', kind, ordinal LIMIT {MOST_TASKS}
"""  # noqa: S608 - constants
IN_PAGE = "kind = 'chunk', kind, ordinal"
TASKS = f"WITH {page_of(_TASKS, IN_PAGE)} SELECT * FROM page"  # noqa: S608 - constants


class ChunkSpan(msgspec.Struct, frozen=True):
    """What is shown of the stored input of a chunk task: the part of the source that it transcribes."""

    core_start_frame: int
    core_end_frame: int
    sample_rate_hz: int


async def show_work(database: Database, jobs: JobReader, tenant: str, job_id: str) -> JobWork:
    """Return the work of a job. Raise RefusedError `not_found` or `job_erased`."""
    job = await jobs.get_results(tenant, job_id)
    rows = await database.read(lambda connection: connection.fetch(TASKS, tenant, job.job_id), tenant)
    rows = sorted(rows, key=lambda row: (IN_ORDER.index(row["kind"]), row["ordinal"]))
    return JobWork(stages=tuple(stages(rows)), tasks=tuple(map(show_task, rows)))


def show_task(row: Mapping[str, Any]) -> TaskView:
    """Return the API's view of a task."""
    failure = msgspec.json.decode(row["failure"], type=StoredFailure) if row["failure"] else None
    start_s, end_s = _span(row)
    return TaskView(
        kind=row["kind"],
        chunk_index=row["ordinal"] if row["kind"] == TaskKind.CHUNK else None,
        start_s=start_s,
        end_s=end_s,
        state=row["state"],
        attempts=row["attempts"],
        started_at=row["started_at"],
        ended_at=row["finished_at"],
        engine=row["engine"],
        model=row["model"],
        error=ProblemInJob(code=failure.code, message=failure.message) if failure else None,
    )


def _span(row: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """The seconds of the source that a task transcribes, if it is known to transcribe."""
    if row["kind"] == TaskKind.CHUNK and row["input"]:
        span = msgspec.json.decode(row["input"], type=ChunkSpan)
        edges = (span.core_start_frame, span.core_end_frame)
        return tuple(round(edge / span.sample_rate_hz, 3) for edge in edges)  # type: ignore[return-value] # two of two
    if row["kind"] == TaskKind.PREPARE and row["chunk_count"] <= 1 and row["duration_s"] is not None:
        return row["start_s"], round(row["start_s"] + row["duration_s"], 3)
    return None, None


def stages(tasks: Sequence[Mapping[str, Any]]) -> Iterator[StageTimes]:
    """Yield the stages that have begun. Between two of them the job may have waited for a slot."""
    of_kind = {kind: [task for task in tasks if task["kind"] == kind and task["started_at"]] for kind in IN_ORDER}
    if of_kind[TaskKind.PREPARE]:
        yield from _stages_of_prepare(of_kind[TaskKind.PREPARE][0])
    if chunks := of_kind[TaskKind.CHUNK]:
        is_over = all(task["finished_at"] for task in tasks if task["kind"] == TaskKind.CHUNK)
        yield StageTimes(
            name=Stage.TRANSCRIBE,
            started_at=min(task["started_at"] for task in chunks),
            ended_at=max(task["finished_at"] for task in chunks) if is_over else None,
        )
    for task in of_kind[TaskKind.FINISH]:
        yield StageTimes(name=Stage.FINISH, started_at=task["started_at"], ended_at=task["finished_at"])
    for task in of_kind[TaskKind.SUMMARIZE]:
        yield StageTimes(name=Stage.SUMMARIZE, started_at=task["started_at"], ended_at=task["finished_at"])


def _stages_of_prepare(task: Mapping[str, Any]) -> Iterator[StageTimes]:
    """Yield the stage of the task of a long file, or all stages of a short file, which has no other task."""
    started_at, ended_at, transcribing_since = task["started_at"], task["finished_at"], task["transcribing_since"]
    if task["chunk_count"] > 1 or transcribing_since is None or transcribing_since < started_at:
        yield StageTimes(name=Stage.PREPARE, started_at=started_at, ended_at=ended_at)
        return
    yield StageTimes(name=Stage.PREPARE, started_at=started_at, ended_at=transcribing_since)
    yield StageTimes(name=Stage.TRANSCRIBE, started_at=transcribing_since, ended_at=ended_at)
    if task["state"] == TaskState.DONE:  # in its last moment
        yield StageTimes(name=Stage.FINISH, started_at=ended_at, ended_at=ended_at)
