"""`GET /v1/jobs/{job_id}/transcript`: the transcript as JSON, plain text, subtitles or RTTM."""

from typing import Annotated, Any, Literal

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Stream

from ingest_service.auth.caller import Caller, Scope, needs
from ingest_service.jobs.download_names import content_disposition, result_name
from ingest_service.jobs.renders import RenderKey
from ingest_service.jobs.results import find_transcript
from ingest_service.openapi.document import RESULT_PROBLEMS
from ingest_service.openapi.results import TRANSCRIPT, TextFormats
from ingest_service.routes.conditional import Validators, early_answer
from ingest_service.services import Services
from ingest_service.subtitles.formats import MEDIA_TYPES, TextFormat
from shared.blobs.blob_facts import BlobVersion

Format = FromQuery[Literal["json", TextFormat]]
MaxChars = Annotated[int | None, QueryParameter(ge=10, le=200, description="The most columns of a subtitle line")]
MaxLines = Annotated[int | None, QueryParameter(ge=1, le=4, description="The most lines of a subtitle cue")]
MaxSeconds = Annotated[
    float | None, QueryParameter(ge=1, le=60, description="The most seconds that a subtitle cue is shown")
]


@get(
    "/v1/jobs/{job_id:str}/transcript",
    operation_class=TextFormats,
    responses={**RESULT_PROBLEMS, **TRANSCRIPT},
    opt=needs(Scope.READ),
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
) -> Response[Any]:
    """The transcript of a COMPLETED job. Times are seconds. The settings have the defaults for subtitles.

    `ETag` identifies the text; with `If-None-Match`, 304 if the client has it.
    """
    job = await services.jobs.get_results(caller.tenant, job_id)
    blob = await find_transcript(services.blobs, job)
    named = {"Content-Disposition": content_disposition("inline", result_name(job.filename, job.job_id, format))}
    if format == "json":
        return _stored(request, services, blob, named)
    size = services.cue_size.but(max_chars=max_chars, max_lines=max_lines, max_seconds=max_seconds)
    text = await services.renders.get(caller.tenant, RenderKey(blob, str(job.job_id), format, size))
    current = Validators.of_text(text)
    early = early_answer(request.headers, current)
    return early or Response(text, media_type=MEDIA_TYPES[format], headers={**named, **current.headers()})


def _stored(
    request: Request[Any, Any, Any], services: Services, blob: BlobVersion, named: dict[str, str]
) -> Response[Any]:
    """Return the JSON as it is stored."""
    current = Validators.of(blob)
    if early := early_answer(request.headers, current):
        return early
    headers = {**named, **current.headers(), "Content-Length": str(blob.size)}
    pieces = services.blobs.read(blob.key, 0, blob.size)  # a day of speech has 20 MB
    return Stream(pieces, media_type="application/json", headers=headers)


ROUTES = (get_transcript,)
