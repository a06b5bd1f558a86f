"""What the listeners of a job are told: its state at a moment, the event made of it, and the SQL that reads many."""

from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from ingest_service.jobs.views import progress
from shared.schemas.api import JobEvent
from shared.schemas.states import JOB_TERMINAL, JobStatus, Stage

# Tasks are looked at only where they tell something: a queue of thousands costs a look at each job's row.
STATES = """
    SELECT jobs.tenant, jobs.id, status, stage, generation, chunk_count, chunks_done, erased_at, work.*
    FROM unnest($1::text[], $2::uuid[]) AS wanted (tenant, id) JOIN jobs USING (tenant, id)
    CROSS JOIN LATERAL (
        SELECT avg(CASE WHEN state = 'done' THEN 1 ELSE progress END) FILTER (WHERE kind = 'chunk') AS chunk_progress,
               max(progress) FILTER (WHERE kind = 'prepare') AS prepare_progress
        FROM tasks
        WHERE job_id = jobs.id AND generation = jobs.generation AND kind IN ('prepare', 'chunk')
            AND jobs.status IN ('PROCESSING', 'FAILED', 'CANCELLED')
    ) AS work
"""


class JobKey(NamedTuple):
    """Names a job of a tenant; another tenant's is not there."""

    tenant: str
    job_id: UUID


class JobState(msgspec.Struct, frozen=True, kw_only=True):
    """All that an event tells. Two equal states are one event."""

    generation: int
    status: JobStatus
    stage: Stage
    progress: float
    chunk_count: int
    chunks_done: int
    is_erased: bool

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self.status in JOB_TERMINAL

    @property
    def event_id(self) -> str:
        """Names the state, so that who comes back with it is told only what is new."""
        per_mille = round(self.progress * 1000)
        return f"{self.generation}-{self.status}-{self.stage}-{per_mille}-{self.chunks_done}.{self.chunk_count}"


def key_of(row: Mapping[str, Any]) -> JobKey:
    """The key in a row of STATES."""
    return JobKey(row["tenant"], row["id"])


def state_of(row: Mapping[str, Any]) -> JobState:
    """The state in a row of STATES."""
    return JobState(
        generation=row["generation"],
        status=JobStatus(row["status"]),
        stage=Stage(row["stage"]),
        progress=progress(row),
        chunk_count=row["chunk_count"],
        chunks_done=row["chunks_done"],
        is_erased=row["erased_at"] is not None,
    )


def event(job_id: UUID, state: JobState) -> bytes:
    """A server-sent event, without a name: `onmessage` of an EventSource gets it."""
    data = JobEvent(
        job_id=str(job_id),
        status=state.status,
        stage=state.stage,
        progress=state.progress,
        chunks_done=state.chunks_done,
        chunk_count=state.chunk_count,
    )
    return b"id: %b\ndata: %b\n\n" % (state.event_id.encode(), msgspec.json.encode(data))
