"""`POST /v1/jobs` and `/api/upload-audio`: submit audio; 202 when it is stored and its job is committed.

`POST /v1/jobs/remote`: the JSON of `POST /v1/jobs` alone. Generated clients use one kind of body of a route.
`POST /v1/uploads/presigned`: a URL of the bucket, so that the audio does not pass through this service.
"""

from typing import Any
from uuid import UUID

from litestar import Request, Response, post
from litestar.di import NamedDependency

from ingest_service.auth.caller import Caller, Scope, caller_of, needs
from ingest_service.errors import IngestError, RefusedError
from ingest_service.middleware.upload_fast_path import accept_upload, parse_content_type
from ingest_service.middleware.upload_slots import release_slot
from ingest_service.openapi.document import SUBMIT, SUBMIT_REMOTE
from ingest_service.openapi.uploads import PRESIGNED, AnyUpload, FormUpload, RemoteUpload
from ingest_service.request_record import note_upload_ended
from ingest_service.routes.prefer import applied, finished_job, wanted_wait_s
from ingest_service.services import Services
from ingest_service.uploads.json_body import JSON_TYPE
from ingest_service.uploads.presigned_uploads import PATH
from shared.schemas.api import DirectUpload, JobView


@post(
    "/v1/jobs",
    operation_class=AnyUpload,
    responses=SUBMIT,
    status_code=202,
    request_max_body_size=None,  # counted while streaming
    opt=needs(Scope.SUBMIT),
    operation_id="submitJob",
    tags=["jobs"],
    summary="Submit audio",
)
async def submit_job(request: Request[Any, Any, Any], services: NamedDependency[Services]) -> Response[Any]:
    """Store the audio and queue a job. The answer comes when both are safe, before the transcription.

    With `Prefer: wait=N`, the answer is 201 with the finished job if that is over within N seconds. The JSON of
    `POST /v1/jobs/remote` is accepted here, too.
    """
    return await _accept(request, services, only_form=False)


@post(
    "/v1/jobs/remote",
    operation_class=RemoteUpload,
    responses=SUBMIT_REMOTE,
    status_code=202,
    request_max_body_size=None,  # counted while reading
    opt=needs(Scope.SUBMIT),
    operation_id="submitRemoteJob",
    tags=["jobs"],
    summary="Submit audio that is elsewhere",
)
async def submit_remote_job(request: Request[Any, Any, Any], services: NamedDependency[Services]) -> Response[Any]:
    """Queue a job for the audio of a URL or of a presigned upload.

    For a URL, the answer comes when the job is committed; the audio is fetched when the job starts. For an `upload_id`,
    it comes when the bucket has copied the uploaded bytes. `Prefer: wait=N` works as for `POST /v1/jobs`.
    """
    if parse_content_type(request.headers.get("content-type", ""))[0] != JSON_TYPE:
        raise RefusedError("unsupported_content_type", f"Send the body as {JSON_TYPE}.")
    return await _accept(request, services, only_form=False)


@post(
    "/api/upload-audio",
    operation_class=FormUpload,
    responses=SUBMIT,
    status_code=202,
    request_max_body_size=None,  # counted while streaming
    opt=needs(Scope.SUBMIT),
    operation_id="submitJobForm",
    tags=["jobs"],
    summary="Submit audio as a form",
)
async def upload_audio(request: Request[Any, Any, Any], services: NamedDependency[Services]) -> Response[Any]:
    """The same as `POST /v1/jobs`, for multipart forms only."""
    return await _accept(request, services, only_form=True)


async def _accept(request: Request[Any, Any, Any], services: Services, *, only_form: bool) -> Response[Any]:
    body = await accept_upload(services, request.scope, request.receive, only_form=only_form)
    location = {"Location": body.links.self}
    wait_s = wanted_wait_s(request.scope["headers"])
    job = await _finished(request, services, body.job_id, wait_s) if wait_s else None
    if wait_s and job:
        return Response(job, status_code=201, headers=location | applied(wait_s))
    return Response(body, status_code=202, headers=location)


async def _finished(request: Request[Any, Any, Any], services: Services, job_id: str, wait_s: int) -> JobView | None:
    """Return the job if it is over within `wait_s`, and the key may read it. The job is safe whatever happens here."""
    caller = caller_of(request.scope)
    if Scope.READ not in caller.scopes:
        return None
    await release_slot(request.scope)
    note_upload_ended()
    try:
        return await finished_job(services, caller, UUID(job_id), wait_s, request.receive)
    except IngestError:
        return None


@post(
    PATH,
    responses=PRESIGNED,
    status_code=201,
    opt=needs(Scope.SUBMIT),
    operation_id="createPresignedUpload",
    tags=["uploads"],
    summary="Get a URL to upload to",
)
async def create_presigned(
    caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[DirectUpload]:
    """Put the audio at `url` with those `headers`, then submit `{"upload_id": …}` to `/v1/jobs` within a day."""
    upload = await services.uploads.direct.create(caller.tenant)
    return Response(upload, status_code=201, headers={"Cache-Control": "no-store"})


ROUTES = (submit_job, submit_remote_job, upload_audio, create_presigned)
