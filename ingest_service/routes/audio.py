"""`GET` and `HEAD /v1/jobs/{job_id}/audio`: the uploaded or the denoised audio, all of it or a range."""

from typing import Any, cast

from litestar import Request, Response, get, head
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Stream

from ingest_service.auth.caller import Caller, Scope, needs
from ingest_service.jobs.download_names import content_disposition
from ingest_service.jobs.results import AudioBlob, RangeNotSatisfiableError, Variant, find_audio, parse_range
from ingest_service.jobs.unredacted import Redacted, require_original
from ingest_service.middleware.problems import problem
from ingest_service.openapi.document import AUDIO, RESULT_PROBLEMS, MediaTypes
from ingest_service.routes.conditional import HeadersOnly, Validators, early_answer, range_applies
from ingest_service.services import Services

URL_EXPIRES_S = 300.0  # for the start of a download and of its later ranges


@get(
    "/v1/jobs/{job_id:str}/audio",
    operation_class=MediaTypes,
    responses={**RESULT_PROBLEMS, **AUDIO},
    opt=needs(Scope.READ),
    operation_id="getAudio",
    tags=["results"],
    summary="Get the audio",
)
async def get_audio(  # noqa: PLR0913 - one for each query parameter
    request: Request[Any, Any, Any],
    job_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    *,
    variant: FromQuery[Variant] = "original",
    redacted: Redacted = True,
) -> Response[Any]:
    """The audio; with `redact_audio`, its redacted copy.

    A single `Range` is answered with 206, if `If-Range` matches; `ETag` and `Last-Modified` identify it.
    If presigned downloads are on, 307 to a URL of the bucket.
    """
    blob = await _find(services, caller, job_id, variant, redacted=redacted)
    if services.presigned_downloads and (url := await services.blobs.download_url(blob.key, expires_s=URL_EXPIRES_S)):
        return Response(b"", status_code=307, headers={"Location": url, "Cache-Control": "no-store"})
    current = Validators.of(blob.version)
    if early := early_answer(request.headers, current):
        return early
    span = parse_range(request.headers.get("range"), blob.size) if range_applies(request.headers, current) else None
    start, end = span or (0, blob.size)
    status, headers = _status_and_headers(blob, current, span)
    return Stream(
        services.blobs.read(blob.key, start, end), status_code=status, media_type=blob.media_type, headers=headers
    )


@head("/v1/jobs/{job_id:str}/audio", include_in_schema=False, opt=needs(Scope.READ))
async def head_audio(  # noqa: PLR0913 - as of `get_audio`
    request: Request[Any, Any, Any],
    job_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    *,
    variant: FromQuery[Variant] = "original",
    redacted: Redacted = True,
) -> Response[None]:
    """The same headers without the audio. `Range` has no effect."""
    blob = await _find(services, caller, job_id, variant, redacted=redacted)
    current = Validators.of(blob.version)
    if early := early_answer(request.headers, current):
        return cast("Response[None]", early)  # the server sends no body
    _, headers = _status_and_headers(blob, current, None)
    return HeadersOnly(None, media_type=blob.media_type, headers=headers)


async def _find(services: Services, caller: Caller, job_id: str, variant: Variant, *, redacted: bool) -> AudioBlob:
    job = await services.jobs.get_results(caller.tenant, job_id)
    if not redacted:
        require_original(caller, job)
    return await find_audio(services.blobs, job, variant, redacted=redacted)


def _status_and_headers(
    blob: AudioBlob, current: Validators, span: tuple[int, int] | None
) -> tuple[int, dict[str, str]]:
    headers = {
        **current.headers(),
        "Accept-Ranges": "bytes",
        "Content-Disposition": content_disposition("attachment", blob.filename),
        "Content-Length": str(blob.size),
    }
    if span is None:
        return 200, headers
    start, end = span
    return 206, headers | {"Content-Length": str(end - start), "Content-Range": f"bytes {start}-{end - 1}/{blob.size}"}


def answer_unsatisfiable(_: Request[Any, Any, Any], error: RangeNotSatisfiableError) -> Response[Any]:
    """Answer 416 with the size of the audio."""
    return problem(error.code, error.detail, {"Content-Range": f"bytes */{error.size}"})


ROUTES = (get_audio, head_audio)
