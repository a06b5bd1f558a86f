"""One request to hand in audio, from its ASGI scope to the 202: what the framework's routes and the short way share."""

import re
from collections.abc import Awaitable

from litestar.types import HTTPScope, Receive

from ingest_service.auth.caller import Scope, caller_of, require
from ingest_service.request_record import note_accepted
from ingest_service.services import Services
from ingest_service.uploads.body import with_checked_digests
from ingest_service.uploads.idempotency import Answered, idempotency_key
from ingest_service.uploads.receive import FORM_TYPE, UploadHead
from ingest_service.uploads.submit import AcceptedJob
from shared.schemas.api import JobAccepted, Links
from shared.schemas.states import JobStatus

PARAMETER = re.compile(r';\s*([^\s;=]+)=(?:"([^"]*)"|([^\s;]*))')  # of a Content-Type; liberal, as clients are


async def accept_upload(services: Services, scope: HTTPScope, receive: Receive, *, only_form: bool) -> JobAccepted:
    """The body of the 202, once audio and job are safe. Raises IngestError or BlobStoreError."""
    caller = caller_of(scope)
    require(caller, Scope.SUBMIT)  # the short way passes no guard
    head, key = _head(scope, only_form=only_form), idempotency_key(_values(scope, b"idempotency-key"))
    declared = [digest for name in (b"content-digest", b"repr-digest") for digest in _values(scope, name)]
    accepted = await _submit(services, caller.tenant, key, head, with_checked_digests(receive, declared))
    if isinstance(accepted, AcceptedJob):
        services.bell.ring_soon(accepted.first_task)
        note_accepted(accepted.job_id)
    return JobAccepted(job_id=str(accepted.job_id), status=JobStatus.QUEUED, links=Links.of(accepted.job_id))


def _submit(
    services: Services, tenant: str, key: str | None, head: UploadHead, receive: Receive
) -> Awaitable[AcceptedJob | Answered]:
    if key is None:
        return services.submitter.submit(tenant, head, receive)
    return services.once.submit(tenant, key, head, receive)


def _values(scope: HTTPScope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _head(scope: HTTPScope, *, only_form: bool) -> UploadHead:
    headers = dict(scope["headers"])
    content_type, boundary = parse_content_type(headers.get(b"content-type", b"").decode("latin-1"))
    length = headers.get(b"content-length")
    return UploadHead(
        content_type=content_type,
        boundary=boundary if content_type == FORM_TYPE else None,
        content_length=None if length is None else int(length),
        query=scope["query_string"].decode("latin-1"),
        only_form=only_form,
    )


def parse_content_type(header: str) -> tuple[str, str | None]:
    """The type in small letters, and the boundary that a form's names."""
    kind, _, _ = header.partition(";")
    boundaries = (quoted or plain for name, quoted, plain in PARAMETER.findall(header) if name.lower() == "boundary")
    return kind.strip().lower(), next(boundaries, None)
