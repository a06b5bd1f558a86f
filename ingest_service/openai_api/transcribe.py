"""Answers a request to OpenAI's audio API: submits a job, waits for its end, renders its transcript.

Clients and proxies give up on a connection that carries no bytes. So an answer in JSON begins after a while, with
blanks, which JSON allows in front. The other formats allow none: the client is asked to repeat the request.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.response import Stream

from ingest_service.auth.caller import Caller, require
from ingest_service.auth.caller import Scope as KeyScope
from ingest_service.errors import IngestError, RefusedError
from ingest_service.jobs.events import HEADERS
from ingest_service.jobs.renders import RenderKey
from ingest_service.jobs.results import find_transcript
from ingest_service.jobs.views import JobKey, JobState
from ingest_service.middleware.bounded_answers import ABORT_KEY
from ingest_service.middleware.problems import answer_ingest_error, problem
from ingest_service.middleware.upload_fast_path import checked_body, upload_head
from ingest_service.middleware.upload_slots import release_slot
from ingest_service.openai_api.answers import Answer
from ingest_service.openai_api.errors import answer_failure, error_of, failure_of
from ingest_service.openai_api.request import Asked, AudioForm, Task
from ingest_service.openai_api.stream import StreamEnd, StreamFailure, StreamSegment, stream_transcript
from ingest_service.openai_api.waiting import UNKNOWN, JobWait, WaitStoppedError, waiting_for, while_connected
from ingest_service.problem_types import PROBLEM_TYPES
from ingest_service.request_record import note_accepted, note_upload_ended
from ingest_service.services import Services
from shared.blobs.blob_errors import BlobStoreError
from shared.schemas.states import JobStatus
from shared.telemetry.logs import Log

log = Log(__name__)

BLANKS_AFTER_S = 25.0  # the shortest usual timeout is 30 s; an error before it still gets its status
BLANK_EVERY_S = 15.0
REPEAT_AFTER_S = 280.0  # for formats without blanks: before Node.js gives up at 300 s
RETRY = {"retry-after": "1", "x-should-retry": "true"}

# Clients parse JSON types. The framework adds the charset.
MEDIA_TYPES = {"text": "text/plain", "srt": "text/plain", "vtt": "text/vtt"}
WITH_LANGUAGES = "gpt-transcribe"  # the model whose answers name the detected languages

AnyRequest = Request[Any, Any, Any]


class WaitingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request whose job is committed."""

    caller: Caller
    job: JobKey
    asked: Asked
    task: Task
    headers: dict[str, str]  # of every answer

    @property
    def is_json(self) -> bool:
        return self.asked.response_format not in MEDIA_TYPES


async def answer_audio(request: AnyRequest, services: Services, caller: Caller, task: Task) -> Response[Any]:
    """Return the answer when the job has ended, or the beginning of an answer that waits for it.

    Raise IngestError or BlobStoreError.
    """
    require(caller, KeyScope.READ)
    services.limits.streams.require(caller.tenant, caller.key_id)  # before the upload
    waiting = await _submit(request, services, caller, task)
    try:
        return await _answer_about(request, services, waiting)
    except IngestError as error:
        response = answer_ingest_error(None, error)
        response.headers.update(waiting.headers)
        return response


async def _answer_about(request: AnyRequest, services: Services, waiting: WaitingRequest) -> Response[Any]:
    if waiting.asked.is_stream:
        return Stream(_events(services, waiting), media_type="text/event-stream", headers=waiting.headers | HEADERS)
    try:
        state = await while_connected(request.receive, _end_soon(services, waiting))
    except WaitStoppedError:
        return _repeat(waiting)
    if state is not None:
        return await _answer(services, waiting, state)
    pieces = _blanks_and_answer(services, waiting, request.scope)
    return Stream(pieces, media_type="application/json", headers=waiting.headers | HEADERS)


async def _submit(request: AnyRequest, services: Services, caller: Caller, task: Task) -> WaitingRequest:
    scope = request.scope
    form = AudioForm(task, services.models, scope["path_params"].get("deployment", ""))
    head = msgspec.structs.replace(upload_head(scope, only_form=True), form=form)
    body = checked_body(scope, request.receive)
    accepted = await services.uploads.submitter.submit(caller.tenant, head, body, interactive=True, attach=True)
    services.notifier.notify_soon(*accepted.dispatches)
    if not accepted.attached:
        note_accepted(accepted.job_id)
    await release_slot(scope)
    note_upload_ended()
    asked = form.asked()
    if asked.ignored:
        log.info("fields_ignored", job_id=accepted.job_id, fields=asked.ignored)
    return WaitingRequest(
        caller=caller,
        job=JobKey(caller.tenant, accepted.job_id),
        asked=asked,
        task=task,
        headers=answer_headers(accepted.job_id, asked),
    )


def answer_headers(job_id: object, asked: Asked) -> dict[str, str]:
    """Return the headers of every answer about a job."""
    ignored = {"Headrace-Ignored": ", ".join(asked.ignored)} if asked.ignored else {}
    return {"Headrace-Job-Id": str(job_id), **ignored}


async def _end_soon(services: Services, waiting: WaitingRequest) -> JobState | None:
    """Return the last state of the job; None if blanks must be sent meanwhile. Raise WaitStoppedError."""
    longest_s = services.wait_max_s if waiting.is_json else min(REPEAT_AFTER_S, services.wait_max_s)
    async with waiting_for(services, waiting.caller, waiting.job, longest_s) as wait:
        return await wait.end_of_job(BLANKS_AFTER_S if waiting.is_json else longest_s + BLANKS_AFTER_S)


def _repeat(waiting: WaitingRequest) -> Response[Any]:
    """Ask the client to send the request again: it attaches to the job."""
    return problem("still_running", _not_ended(waiting), {**waiting.headers, **RETRY})


def _not_ended(waiting: WaitingRequest) -> str:
    return f"The job {waiting.job.job_id} has not ended. Send the same request again, or read the job at /v1/jobs."


async def _answer(services: Services, waiting: WaitingRequest, state: JobState) -> Response[Any]:
    """Return the answer about a job that has ended."""
    job_id = str(waiting.job.job_id)
    if state.status is not JobStatus.COMPLETED:
        return answer_failure(await services.jobs.get(waiting.job.tenant, job_id), waiting.headers)
    text = await _rendered(services, waiting)
    media_type = MEDIA_TYPES.get(waiting.asked.response_format, "application/json")
    return Response(text, status_code=200, media_type=media_type, headers=waiting.headers)


async def _rendered(services: Services, waiting: WaitingRequest) -> bytes:
    """Return the body of the answer. Raise RefusedError, LimitError, OutageError, BlobStoreError."""
    tenant, job_id = waiting.job.tenant, str(waiting.job.job_id)
    blob = await find_transcript(services.blobs, await services.jobs.get_results(tenant, job_id))
    key = RenderKey(blob, job_id, wanted_by(waiting.asked, waiting.task), services.cue_size)
    return await services.renders.get_in_turn(tenant, key)


def wanted_by(asked: Asked, task: Task) -> Any:
    """Return the format to render."""
    if asked.is_stream:
        return Answer(response_format="diarized_json", task=task)  # it has all that the last events contain
    if asked.response_format in {"srt", "vtt"}:
        return asked.response_format
    return Answer(
        response_format=asked.response_format,  # type: ignore[arg-type] # all others are of Answer
        task=task,
        segments="segment" in asked.granularities,
        words="word" in asked.granularities,
        languages=asked.model == WITH_LANGUAGES,
    )


async def _blanks_and_answer(
    services: Services, waiting: WaitingRequest, scope: Mapping[str, Any]
) -> AsyncIterator[bytes]:
    """Yield blanks until the job has ended, then the body.

    The status is sent already, so an error breaks the connection: clients repeat the request and get the error then.
    """
    yield b" "
    try:
        left_s = services.wait_max_s - BLANKS_AFTER_S
        async with waiting_for(services, waiting.caller, waiting.job, left_s) as wait:
            while (state := await wait.end_of_job(BLANK_EVERY_S)) is None:
                yield b" "
        if state.status is not JobStatus.COMPLETED:
            raise WaitStoppedError
        body = await _rendered(services, waiting)
    except (WaitStoppedError, IngestError, BlobStoreError) as error:
        log.warning("answer_broken_off", job_id=waiting.job.job_id, error=type(error).__name__)
        await _break_off(scope)
        return
    yield body


async def _events(services: Services, waiting: WaitingRequest) -> AsyncIterator[bytes]:
    """Yield the transcript's events until the job ends."""
    try:
        async with waiting_for(services, waiting.caller, waiting.job, services.wait_max_s) as wait:
            find_end = partial(_end_of_stream, services, waiting, wait)
            job_id, windows = waiting.job.job_id, services.windows.of(waiting.job.tenant)
            events = stream_transcript(windows, wait.listener, job_id=job_id, state=UNKNOWN, find_end=find_end)
            async with aclosing(events):
                async for event in events:
                    yield event
    except IngestError as error:
        yield b"data: %b\n\n" % msgspec.json.encode(_failure(error))


async def _end_of_stream(
    services: Services, waiting: WaitingRequest, wait: JobWait, state: JobState | None
) -> StreamEnd | StreamFailure:
    """Return how the stream ends; `state` is the job's last one, if it has ended."""
    try:
        if state is None:
            return _failure(RefusedError("still_running", _not_ended(waiting)))
        wait.note_end()
        if state.status is not JobStatus.COMPLETED:
            _, body = failure_of(await services.jobs.get(waiting.job.tenant, str(waiting.job.job_id)))
            return StreamFailure(error=msgspec.to_builtins(body.error))
        answer = msgspec.json.decode(await _rendered(services, waiting))
    except (IngestError, BlobStoreError) as error:
        return _failure(error)
    segments = msgspec.convert(answer["segments"], tuple[StreamSegment, ...])
    is_diarized = waiting.asked.response_format == "diarized_json"
    return StreamEnd(text=answer["text"], segments=segments, usage=answer["usage"], is_diarized=is_diarized)


def _failure(error: IngestError | BlobStoreError) -> StreamFailure:
    code = error.code if isinstance(error, IngestError) else "storage_unavailable"
    kind = PROBLEM_TYPES[code]
    detail = error.detail if isinstance(error, IngestError) else kind.detail
    return StreamFailure(error=msgspec.to_builtins(error_of(kind.status, code, detail or kind.detail).error))


async def _break_off(scope: Mapping[str, Any]) -> None:
    """Close the connection at once, without the end of the body. The framework stops this coroutine then."""
    scope[ABORT_KEY]()
    await asyncio.get_running_loop().create_future()
