"""`POST /v1/jobs` and `POST /api/upload-audio`: hand in audio, have a 202 once it is stored and recorded."""

from typing import Any

from litestar import Request, Response, post
from litestar.di import NamedDependency

from ingest_service.auth.caller import Scope, needs
from ingest_service.openapi.document import SUBMIT, SUBMIT_ANY
from ingest_service.openapi.uploads import AnyUpload, FormUpload
from ingest_service.services import Services
from ingest_service.uploads.accept import accept_upload
from shared.schemas.api import JobAccepted


@post(
    "/v1/jobs",
    operation_class=AnyUpload,
    responses=SUBMIT_ANY,
    status_code=202,
    request_max_body_size=None,  # we count ourselves, while streaming
    opt=needs(Scope.SUBMIT),
    summary="Submit audio",
)
async def submit_job(request: Request[Any, Any, Any], services: NamedDependency[Services]) -> Response[JobAccepted]:
    """Store the audio and queue a job. The answer comes once both are safe, long before the transcript.

    Of a URL, it comes once the job is recorded; the audio is fetched when the job's turn comes. Of an `upload_id`, once
    the bucket has copied what was put at its URL.
    """
    return await _accept(request, services, only_form=False)


@post(
    "/api/upload-audio",
    operation_class=FormUpload,
    responses=SUBMIT,
    status_code=202,
    request_max_body_size=None,  # we count ourselves, while streaming
    opt=needs(Scope.SUBMIT),
    summary="Submit audio as a form",
)
async def upload_audio(request: Request[Any, Any, Any], services: NamedDependency[Services]) -> Response[JobAccepted]:
    """The same as `POST /v1/jobs`, for multipart forms only."""
    return await _accept(request, services, only_form=True)


async def _accept(request: Request[Any, Any, Any], services: Services, *, only_form: bool) -> Response[JobAccepted]:
    body = await accept_upload(services, request.scope, request.receive, only_form=only_form)
    return Response(body, status_code=202, headers={"Location": body.links.self})
