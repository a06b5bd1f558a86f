"""`POST /asr` and `/detect-language`, as whisper-asr-webservice has them: the answer comes when the job has ended.

Off unless `HEADRACE_ASR_ROUTES=true`. The job is a normal one: `Headrace-Job-Id` names it, and `/v1/jobs` shows it.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from litestar import Request, Response, post
from litestar.di import NamedDependency

from ingest_service.asr_api.query import AsrForm, AsrQuery, parse_detection_query, parse_query
from ingest_service.auth.caller import Caller, Scope, needs, require
from ingest_service.errors import IngestError, RefusedError
from ingest_service.jobs.download_names import content_disposition, result_name
from ingest_service.jobs.renders import RenderKey
from ingest_service.jobs.results import find_transcript
from ingest_service.jobs.views import JobKey
from ingest_service.middleware.problems import answer_ingest_error, problem
from ingest_service.middleware.upload_fast_path import checked_body, upload_head
from ingest_service.middleware.upload_slots import release_slot
from ingest_service.openai_api.answers import Answer
from ingest_service.openai_api.waiting import WaitStoppedError, waiting_for, while_connected
from ingest_service.openapi.asr import ASR, DETECT_LANGUAGE, AsrUpload, Detection, DetectionUpload
from ingest_service.request_record import note_accepted, note_upload_ended
from ingest_service.services import Services
from shared.formats.style import TextFormat
from shared.schemas.languages import NAMES
from shared.schemas.transcript import Transcript

RETRY = {"Retry-After": "1"}
TEXT = "text/plain"  # also of subtitles and JSON, as in the original
ENGINE = {"Asr-Engine": "headrace"}

AnyRequest = Request[Any, Any, Any]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request whose job is committed."""

    services: Services
    caller: Caller
    query: AsrQuery
    job: JobKey


@post(
    "/asr",
    operation_class=AsrUpload,
    operation_id="transcribeAndWait",
    tags=["whisper-asr-webservice"],
    responses=ASR,
    status_code=200,
    request_max_body_size=None,  # counted while streaming
    opt=needs(Scope.SUBMIT),
    summary="Transcribe audio and wait",
)
async def transcribe(
    request: AnyRequest, caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[Any]:
    """Transcribe the form's `audio_file` and answer with the text, subtitles or JSON, always as `text/plain`."""
    return await _answer(request, caller, services, parse_query(_query_of(request)), _text)


@post(
    "/detect-language",
    operation_class=DetectionUpload,
    operation_id="detectLanguage",
    tags=["whisper-asr-webservice"],
    responses=DETECT_LANGUAGE,
    status_code=200,
    request_max_body_size=None,  # counted while streaming
    opt=needs(Scope.SUBMIT),
    summary="Detect the language and wait",
)
async def detect_language(
    request: AnyRequest, caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[Any]:
    """Detect the language of the first 30 seconds of speech, within the first five minutes. Nothing is transcribed."""
    return await _answer(request, caller, services, parse_detection_query(_query_of(request)), _detected)


def _query_of(request: AnyRequest) -> str:
    query: bytes = request.scope["query_string"]
    return query.decode("latin-1")


async def _answer(
    request: AnyRequest,
    caller: Caller,
    services: Services,
    query: AsrQuery,
    result: Callable[[Asked], Awaitable[Response[Any]]],
) -> Response[Any]:
    require(caller, Scope.READ)
    services.limits.streams.require(caller.tenant, caller.key_id)  # before the upload
    asked = await _submit(request, caller, services, query)
    try:
        await while_connected(request.receive, _end_of_job(asked))
        response = await result(asked)
    except WaitStoppedError:
        detail = f"The job {asked.job.job_id} has not ended. Send the same request again, or read the job at /v1/jobs."
        response = problem("still_running", detail, RETRY)
    except IngestError as error:
        response = answer_ingest_error(None, error)
    response.headers["Headrace-Job-Id"] = str(asked.job.job_id)
    return response


async def _submit(request: AnyRequest, caller: Caller, services: Services, query: AsrQuery) -> Asked:
    """Commit the job, or attach to that of an equal request."""
    head = msgspec.structs.replace(upload_head(request.scope, only_form=True), query="", form=AsrForm(query))
    body = checked_body(request.scope, request.receive)
    accepted = await services.uploads.submitter.submit(caller.tenant, head, body, interactive=True, attach=True)
    services.notifier.notify_soon(*accepted.dispatches)
    if not accepted.attached:
        note_accepted(accepted.job_id)
    await release_slot(request.scope)
    note_upload_ended()
    return Asked(services=services, caller=caller, query=query, job=JobKey(caller.tenant, accepted.job_id))


async def _end_of_job(asked: Asked) -> None:
    """Wait for the end. These clients allow an hour, and text cannot begin with blanks: nothing is sent meanwhile."""
    longest_s = asked.services.wait_max_s
    async with waiting_for(asked.services, asked.caller, asked.job, longest_s) as wait:
        await wait.end_of_job(2 * longest_s)  # it raises WaitStoppedError before


async def _text(asked: Asked) -> Response[Any]:
    tenant, job_id, services = asked.job.tenant, str(asked.job.job_id), asked.services
    job = await services.jobs.get_results(tenant, job_id)
    blob = await find_transcript(services.blobs, job)
    text = await services.renders.get_in_turn(
        tenant, RenderKey(blob, job_id, wanted_by(asked.query), services.cue_size)
    )
    name = content_disposition("attachment", result_name(job.filename, job_id, asked.query.output))
    return Response(text, media_type=TEXT, headers={**ENGINE, "Content-Disposition": name})


def wanted_by(query: AsrQuery) -> TextFormat | Answer:
    """Return the format to render."""
    return Answer(response_format="whisper_json", words=query.has_words) if query.output == "json" else query.output


async def _detected(asked: Asked) -> Response[Any]:
    services = asked.services
    job = await services.jobs.get_results(asked.job.tenant, str(asked.job.job_id))
    blob = await find_transcript(services.blobs, job)
    found = msgspec.json.decode(await services.blobs.get(blob.key), type=Transcript)
    if found.language is None:
        raise RefusedError("no_speech", "")
    name = NAMES.get(found.language, found.language)
    return Response(Detection(name, found.language, found.language_probability or 0.0))


ROUTES = (transcribe, detect_language)
