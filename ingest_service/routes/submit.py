"""`POST /v1/jobs` and `POST /api/upload-audio`: hand in audio, have a 202 once it is stored and recorded."""

from typing import Any

from litestar import Request, Response, post
from litestar.di import NamedDependency

from ingest_service.describe_api import SUBMIT
from ingest_service.describe_upload import FormUpload, RawOrFormUpload
from ingest_service.receive_upload import FORM_TYPE, UploadHead
from ingest_service.request_record import note_accepted
from ingest_service.services import LOCAL_TENANT, Services
from shared.api import JobAccepted, Links
from shared.states import JobStatus


@post(
    "/v1/jobs",
    operation_class=RawOrFormUpload,
    responses=SUBMIT,
    status_code=202,
    request_max_body_size=None,  # we count ourselves, while streaming
    summary="Submit audio",
)
async def submit_job(request: Request[Any, Any, Any], services: NamedDependency[Services]) -> Response[JobAccepted]:
    """Store the audio and queue a job. The answer comes once both are safe, long before the transcript."""
    return await _accept(request, services, only_form=False)


@post(
    "/api/upload-audio",
    operation_class=FormUpload,
    responses=SUBMIT,
    status_code=202,
    request_max_body_size=None,  # we count ourselves, while streaming
    summary="Submit audio as a form",
)
async def upload_audio(request: Request[Any, Any, Any], services: NamedDependency[Services]) -> Response[JobAccepted]:
    """The same as `POST /v1/jobs`, for multipart forms only."""
    return await _accept(request, services, only_form=True)


async def _accept(request: Request[Any, Any, Any], services: Services, *, only_form: bool) -> Response[JobAccepted]:
    accepted = await services.submitter.submit(LOCAL_TENANT, _head(request, only_form=only_form), request.receive)
    services.bell.ring_soon(accepted.first_task)
    note_accepted(accepted.job_id)
    links = Links.of(accepted.job_id)
    body = JobAccepted(job_id=str(accepted.job_id), status=JobStatus.QUEUED, links=links)
    return Response(body, status_code=202, headers={"Location": links.self})


def _head(request: Request[Any, Any, Any], *, only_form: bool) -> UploadHead:
    content_type, parameters = request.content_type
    content_type = content_type.lower()
    return UploadHead(
        content_type=content_type,
        boundary=parameters.get("boundary") if content_type == FORM_TYPE else None,
        content_length=request.content_length,
        query=request.scope["query_string"].decode("latin-1"),
        only_form=only_form,
    )
