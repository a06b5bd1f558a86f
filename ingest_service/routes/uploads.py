"""`/v1/uploads`: resumable uploads by tus 1.0.0 (https://tus.io). A complete upload becomes a job."""

from typing import Any

from litestar import HttpMethod, Request, Response, Router, delete, head, patch, post, route
from litestar.di import NamedDependency
from litestar.enums import MediaType
from litestar.params import FromPath

from ingest_service.auth.caller import OPEN, Caller, Scope, needs
from ingest_service.middleware.tus_headers import require_version
from ingest_service.openapi.tus import APPEND, CREATE, OPTIONS, SHOW, TERMINATE, Append, Create, OfUpload
from ingest_service.services import Services
from ingest_service.tus import headers
from ingest_service.tus.operations import append_to_upload, create_upload, show_upload, terminate_upload
from ingest_service.uploads.presigned_uploads import parse_upload_id

AnyRequest = Request[Any, Any, Any]


@route(
    ["/", "/{upload_id:str}"],
    http_method=[HttpMethod.OPTIONS],
    responses=OPTIONS,
    status_code=204,
    opt=OPEN,
    security=[{}],
    operation_id=lambda _, __, parts: "getFeaturesOfUpload" if len(parts) > 2 else "getUploadFeatures",
    tags=["uploads"],
    summary="Get the features of resumable uploads",
)
async def ask_abilities(services: NamedDependency[Services]) -> Response[None]:
    """The version, extensions, checksum algorithms and largest size, in `Tus-…` headers."""
    return _headers_only(204, headers.capability_headers(services.uploads.resumable.max_bytes))


@post(
    "/",
    operation_class=Create,
    responses=CREATE,
    status_code=201,
    request_max_body_size=None,  # counted while streaming
    opt=needs(Scope.SUBMIT),
    operation_id="createUpload",
    tags=["uploads"],
    summary="Create a resumable upload",
)
async def create(
    request: AnyRequest, caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[None]:
    """`Location` names the upload. The body may contain its first bytes, or all. Options go into `Upload-Metadata`.

    If they are too long for a header, send them as the body, as a JSON object.
    """
    wanted = headers.read_creation(request.headers)
    upload = await create_upload(services.uploads.resumable, caller.tenant, wanted, request.receive)
    return _headers_only(201, headers.creation_headers(upload))


@head(
    "/{upload_id:str}",
    operation_class=OfUpload,
    responses=SHOW,
    opt=needs(Scope.SUBMIT),
    operation_id="getUpload",
    tags=["uploads"],
    summary="Get the offset of an upload",
)
async def show(
    upload_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[None]:
    """Continue from `Upload-Offset`. A request that still writes to the upload is stopped; its bytes count."""
    upload = await show_upload(services.uploads.resumable, caller.tenant, parse_upload_id(upload_id))
    return _headers_only(200, headers.head_headers(upload))


@patch(
    "/{upload_id:str}",
    operation_class=Append,
    responses=APPEND,
    status_code=204,
    request_max_body_size=None,  # counted while streaming
    opt=needs(Scope.SUBMIT),
    operation_id="appendToUpload",
    tags=["uploads"],
    summary="Append to an upload",
)
async def append(
    upload_id: FromPath[str], request: AnyRequest, caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[None]:
    """Append bytes at `Upload-Offset`. When the upload is complete, it becomes the job in `Headrace-Job-Id`."""
    patch_headers, parsed_id = headers.read_patch(request.headers), parse_upload_id(upload_id)
    upload = await append_to_upload(
        services.uploads.resumable, caller.tenant, parsed_id, patch_headers, request.receive
    )
    return _headers_only(204, headers.progress_headers(upload))


@delete(
    "/{upload_id:str}",
    operation_class=OfUpload,
    responses=TERMINATE,
    opt=needs(Scope.SUBMIT),
    operation_id="terminateUpload",
    tags=["uploads"],
    summary="Terminate an upload",
)
async def terminate(
    upload_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> None:
    """Delete the upload's bytes. If it became a job, the job stays; erase it at `/v1/jobs/{job_id}`."""
    await terminate_upload(services.uploads.resumable, caller.tenant, parse_upload_id(upload_id))


def _headers_only(status: int, headers: dict[str, str]) -> Response[None]:
    return Response(None, status_code=status, headers=headers, media_type=MediaType.TEXT)


async def _require_tus(request: AnyRequest) -> None:
    require_version(request.headers, request.method)


HANDLERS = [ask_abilities, create, show, append, terminate]
ROUTES = [Router(headers.PATH, route_handlers=HANDLERS, before_request=_require_tus)]
