"""`POST /v1/jobs` and `/api/upload-audio`: submit audio; 202 when it is stored and its job is committed.

`POST /v1/uploads/presigned`: a URL of the bucket, so that the audio does not pass through this service.
"""

from typing import Any

from litestar import Request, Response, post
from litestar.di import NamedDependency

from ingest_service.auth.caller import Caller, Scope, needs
from ingest_service.middleware.upload_fast_path import accept_upload
from ingest_service.openapi.document import SUBMIT, SUBMIT_ANY
from ingest_service.openapi.uploads import PRESIGNED, AnyUpload, FormUpload
from ingest_service.services import Services
from ingest_service.uploads.presigned_uploads import PATH
from shared.schemas.api import DirectUpload, JobAccepted


@post(
    "/v1/jobs",
    operation_class=AnyUpload,
    responses=SUBMIT_ANY,
    status_code=202,
    request_max_body_size=None,  # counted while streaming
    opt=needs(Scope.SUBMIT),
    summary="Submit audio",
)
async def submit_job(request: Request[Any, Any, Any], services: NamedDependency[Services]) -> Response[JobAccepted]:
    """Store the audio and queue a job. The answer comes when both are safe, before the transcription.

    For a URL, the answer comes when the job is committed; the audio is fetched when the job starts. For an `upload_id`,
    it comes when the bucket has copied the uploaded bytes.
    """
    return await _accept(request, services, only_form=False)


@post(
    "/api/upload-audio",
    operation_class=FormUpload,
    responses=SUBMIT,
    status_code=202,
    request_max_body_size=None,  # counted while streaming
    opt=needs(Scope.SUBMIT),
    summary="Submit audio as a form",
)
async def upload_audio(request: Request[Any, Any, Any], services: NamedDependency[Services]) -> Response[JobAccepted]:
    """The same as `POST /v1/jobs`, for multipart forms only."""
    return await _accept(request, services, only_form=True)


async def _accept(request: Request[Any, Any, Any], services: Services, *, only_form: bool) -> Response[JobAccepted]:
    body = await accept_upload(services, request.scope, request.receive, only_form=only_form)
    return Response(body, status_code=202, headers={"Location": body.links.self})


@post(PATH, responses=PRESIGNED, status_code=201, opt=needs(Scope.SUBMIT), summary="Get a URL to upload to")
async def create_presigned(
    caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[DirectUpload]:
    """Put the audio at `url` with those `headers`, then submit `{"upload_id": …}` to `/v1/jobs` within a day."""
    upload = await services.direct.create(caller.tenant)
    return Response(upload, status_code=201, headers={"Cache-Control": "no-store"})


ROUTES = (submit_job, upload_audio, create_presigned)
