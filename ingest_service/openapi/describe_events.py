"""What the OpenAPI document says of a job's events."""

from collections.abc import Mapping
from uuid import UUID

import msgspec
from litestar.openapi import ResponseSpec
from litestar.openapi.spec import Example

from ingest_service.jobs.job_state import JobState, event
from ingest_service.openapi.document import EXAMPLE_JOB_ID, ONE_JOB
from shared.schemas.states import JobStatus, Stage


class ServerSentEvent(msgspec.Struct, frozen=True):
    """One event of the stream, as a client's library hands it out."""

    id: str
    data: str


_STATE = JobState(
    generation=1,
    status=JobStatus.PROCESSING,
    stage=Stage.TRANSCRIBE,
    progress=0.454,
    chunk_count=6,
    chunks_done=2,
    is_erased=False,
)
_EXAMPLE = event(UUID(EXAMPLE_JOB_ID), _STATE).decode()

EVENTS: Mapping[int, ResponseSpec] = {
    200: ResponseSpec(
        ServerSentEvent,
        generate_examples=False,
        description="A stream of events without a name, each with an `id`; their `data` is a JobEvent as JSON",
        media_type="text/event-stream",
        examples=[Example(id="chunks", summary="Two of six chunks are done", value=_EXAMPLE)],
    ),
    204: ResponseSpec(
        None, generate_examples=False, description="The job has ended, and `Last-Event-ID` names its end"
    ),
    **ONE_JOB,
}
