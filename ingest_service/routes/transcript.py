"""`GET /v1/jobs/{job_id}/transcript`: the transcript as JSON, plain text, subtitles or RTTM."""

from typing import Annotated, Any, Literal

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Stream

from ingest_service.auth.caller import Caller, Scope, needs
from ingest_service.jobs.renders import RenderKey
from ingest_service.jobs.results import find_transcript
from ingest_service.openapi.document import RESULT_PROBLEMS
from ingest_service.openapi.results import TRANSCRIPT, TextFormats
from ingest_service.services import Services
from ingest_service.subtitles.formats import MEDIA_TYPES, TextFormat

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
    job_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    *,
    format: Format = "json",  # noqa: A002 - the contract's name
    max_chars: MaxChars = None,
    max_lines: MaxLines = None,
    max_seconds: MaxSeconds = None,
) -> Response[Any]:
    """The transcript of a COMPLETED job. Times are seconds. The settings have the defaults for subtitles."""
    job = await services.jobs.get_results(caller.tenant, job_id)
    blob = await find_transcript(services.blobs, job)
    if format == "json":
        pieces = services.blobs.read(blob.key, 0, blob.size)  # a day of speech has 20 MB
        return Stream(pieces, media_type="application/json", headers={"Content-Length": str(blob.size)})
    size = services.cue_size.but(max_chars=max_chars, max_lines=max_lines, max_seconds=max_seconds)
    text = await services.renders.get(caller.tenant, RenderKey(blob, str(job.job_id), format, size))
    return Response(text, media_type=MEDIA_TYPES[format])


ROUTES = (get_transcript,)
