"""`GET /v1/jobs/{job_id}/transcript`: the transcript as JSON, plain text, subtitles or RTTM.

`GET /v1/jobs/{job_id}/transcript/text`: the text formats alone. The document describes JSON at the first route and text
at the second, because generated clients decode all answers of a route in one way.
"""

from typing import Annotated, Any, Literal, NamedTuple

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Stream

from ingest_service.auth.caller import Caller, Scope, needs
from ingest_service.jobs.download_names import content_disposition, result_name
from ingest_service.jobs.queries import JobResults
from ingest_service.jobs.renders import RenderKey
from ingest_service.jobs.results import find_transcript, require_results
from ingest_service.jobs.transcript_edits import FoundEdits
from ingest_service.openapi.document import RESULT_PROBLEMS
from ingest_service.openapi.results import TEXT, TRANSCRIPT, OnlyJson, TextFormats
from ingest_service.routes.conditional import Validators, early_answer
from ingest_service.services import Services
from ingest_service.subtitles.cue_size import CueSize
from ingest_service.subtitles.formats import MEDIA_TYPES, TextFormat, text_type

EDITS = r"^(?:none|latest|[0-9]{1,9})$(?!\n)"
Edits = Annotated[
    str,
    QueryParameter(pattern=EDITS, description="`none` (the engine's text), `latest`, or the number of a version"),
]
NO_EDITS, LATEST = "none", "latest"
Format = FromQuery[Literal["json", TextFormat]]
MaxChars = Annotated[int | None, QueryParameter(ge=10, le=200, description="The most columns of a subtitle line")]
MaxLines = Annotated[int | None, QueryParameter(ge=1, le=4, description="The most lines of a subtitle cue")]
MaxSeconds = Annotated[
    float | None, QueryParameter(ge=1, le=60, description="The most seconds that a subtitle cue is shown")
]


@get(
    "/v1/jobs/{job_id:str}/transcript",
    operation_class=OnlyJson,
    responses={**RESULT_PROBLEMS, **TRANSCRIPT},
    opt=needs(Scope.READ),
    operation_id="getTranscript",
    tags=["results"],
    summary="Get the transcript",
)
async def get_transcript(  # noqa: PLR0913 - one for each query parameter
    request: Request[Any, Any, Any],
    job_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    *,
    format: Format = "json",  # noqa: A002 - the contract's name
    max_chars: MaxChars = None,
    max_lines: MaxLines = None,
    max_seconds: MaxSeconds = None,
    edits: Edits = NO_EDITS,
) -> Response[Any]:
    """The transcript of a COMPLETED job. Times are seconds. Text and subtitles: see `/transcript/text`.

    It is the engine's text; `edits` applies corrections. `ETag` identifies the text; with `If-None-Match`, 304 if the
    client has it.
    """
    job = await services.jobs.get_results(caller.tenant, job_id)
    applied = await _edits(services, caller, job, edits)
    if format == "json":
        return await _json(request, services, caller, job, applied)
    size = services.cue_size.but(max_chars=max_chars, max_lines=max_lines, max_seconds=max_seconds)
    wanted = RenderAs(format, size, MEDIA_TYPES[format], applied)
    return await _rendered(request, services, caller, job, wanted)


@get(
    "/v1/jobs/{job_id:str}/transcript/text",
    operation_class=TextFormats,
    responses={**RESULT_PROBLEMS, **TEXT},
    opt=needs(Scope.READ),
    operation_id="getTranscriptText",
    tags=["results"],
    summary="Get the transcript as text or subtitles",
)
async def get_transcript_text(  # noqa: PLR0913 - one for each query parameter
    request: Request[Any, Any, Any],
    job_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    *,
    format: FromQuery[TextFormat] = "txt",  # noqa: A002 - the contract's name
    max_chars: MaxChars = None,
    max_lines: MaxLines = None,
    max_seconds: MaxSeconds = None,
    edits: Edits = NO_EDITS,
) -> Response[Any]:
    """The transcript of a COMPLETED job, as `text/…` in each format. The settings have the defaults for subtitles."""
    job = await services.jobs.get_results(caller.tenant, job_id)
    size = services.cue_size.but(max_chars=max_chars, max_lines=max_lines, max_seconds=max_seconds)
    wanted = RenderAs(format, size, text_type(format), await _edits(services, caller, job, edits))
    return await _rendered(request, services, caller, job, wanted)


class RenderAs(NamedTuple):
    """The form of a text."""

    format: Literal["json", TextFormat]
    size: CueSize
    media_type: str
    edits: FoundEdits | None = None


async def _edits(services: Services, caller: Caller, job: JobResults, wanted: str) -> FoundEdits | None:
    """Return the corrections to apply; None: the engine's text."""
    require_results(job)
    if wanted == LATEST:
        return await services.edits.to_apply(caller.tenant, job, None)
    version = 0 if wanted == NO_EDITS else int(wanted)
    return await services.edits.to_apply(caller.tenant, job, version) if version else None


async def _rendered(
    request: Request[Any, Any, Any], services: Services, caller: Caller, job: JobResults, wanted: RenderAs
) -> Response[Any]:
    blob = await find_transcript(services.blobs, job)
    edits = wanted.edits
    key = RenderKey(blob, str(job.job_id), wanted.format, wanted.size, edits.key if edits else "")
    text = await services.renders.get(caller.tenant, key, edits.overlay if edits else None)
    current = Validators.of_text(text)
    if early := early_answer(request.headers, current):
        return early
    headers = {**_named(job, wanted.format), **current.headers()}
    return Response(text, media_type=wanted.media_type, headers=headers)


async def _json(
    request: Request[Any, Any, Any], services: Services, caller: Caller, job: JobResults, edits: FoundEdits | None
) -> Response[Any]:
    if edits is None:
        return await _stored(request, services, job)
    return await _rendered(request, services, caller, job, RenderAs("json", CueSize(), "application/json", edits))


async def _stored(request: Request[Any, Any, Any], services: Services, job: JobResults) -> Response[Any]:
    """Return the JSON as it is stored."""
    blob = await find_transcript(services.blobs, job)
    current = Validators.of(blob)
    if early := early_answer(request.headers, current):
        return early
    headers = {**_named(job, "json"), **current.headers(), "Content-Length": str(blob.size)}
    pieces = services.blobs.read(blob.key, 0, blob.size)  # a day of speech has 20 MB
    return Stream(pieces, media_type="application/json", headers=headers)


def _named(job: JobResults, wanted: str) -> dict[str, str]:
    return {"Content-Disposition": content_disposition("inline", result_name(job.filename, job.job_id, wanted))}


ROUTES = (get_transcript, get_transcript_text)
