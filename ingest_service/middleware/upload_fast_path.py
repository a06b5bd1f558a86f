"""The fast path for uploads: it calls the use case directly, without the framework's routing and injection.

The framework uses 120 to 175 µs of CPU for a request, in addition to our own code; this uses 24 µs. The routes in
`routes.submit` describe the interface and serve unusual requests.
"""

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec
from litestar.types import ASGIApp, HTTPScope, Receive, Send

from ingest_service.auth.caller import Scope as KeyScope
from ingest_service.auth.caller import caller_of, require
from ingest_service.middleware.problems import PlainAnswer, plain_problem, send_problem
from ingest_service.request_record import note_accepted
from ingest_service.services import Services
from ingest_service.uploads.body import with_checked_digests
from ingest_service.uploads.idempotency import StoredResponse, idempotency_key
from ingest_service.uploads.job_submitter import AcceptedJob
from ingest_service.uploads.receive import FORM_TYPE, UploadHead
from shared.schemas.api import JobAccepted, Links
from shared.schemas.states import JobStatus

DIGEST_HEADERS = (b"content-digest", b"repr-digest")
ONLY_FORM = {"/v1/jobs": False, "/api/upload-audio": True}
USUAL_HOST = re.compile(rb"[A-Za-z0-9._-]{1,253}(:[0-9]{1,5})?")  # the framework checks all others


def with_upload_fast_path(app: ASGIApp, services: Callable[[], Services]) -> ASGIApp:
    """Wrap the framework's application. The server opens `services` after this call."""

    def dispatched(scope: Any, receive: Receive, send: Send) -> Awaitable[None]:
        if _is_usual_upload(scope):
            scope["path_template"] = scope["path"]  # for the access log
            return _accept(services(), scope, receive, send)
        return app(scope, receive, send)

    return dispatched


def _is_usual_upload(scope: HTTPScope) -> bool:
    if scope["method"] != "POST" or scope["path"] not in ONLY_FORM or scope["root_path"]:
        return False
    for name, value in scope["headers"]:
        if name == b"prefer" or (name == b"host" and not USUAL_HOST.fullmatch(value)):  # it may want to wait
            return False
    return True


async def _accept(services: Services, scope: HTTPScope, receive: Receive, send: Send) -> None:
    try:
        accepted = await accept_upload(services, scope, receive, only_form=ONLY_FORM[scope["path"]])
    except Exception as error:  # noqa: BLE001 - the problem table has an answer for every exception
        await send_problem(send, error)
    else:
        body = msgspec.json.encode(accepted)
        headers = [
            (b"content-type", b"application/json"),
            (b"location", accepted.links.self.encode()),
            (b"content-length", str(len(body)).encode()),
        ]
        await PlainAnswer(202, headers, body).send(send)


def refused_coding(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the problem code for a request's codings, or None."""
    for name, value in headers:
        if name == b"content-encoding" and value.strip().lower() not in {b"", b"identity"}:
            return "unsupported_content_encoding"
        if name == b"transfer-encoding" and value.strip().lower() != b"chunked":
            return "unsupported_transfer_encoding"
    return None


def with_content_coding_check(app: ASGIApp) -> ASGIApp:
    """Wrap an ASGI application."""

    def checked(scope: Any, receive: Receive, send: Send) -> Awaitable[None]:
        code = refused_coding(scope["headers"])
        return app(scope, receive, send) if code is None else plain_problem(code).send(send)

    return checked


PARAMETER = re.compile(r';\s*([^\s;=]+)=(?:"([^"]*)"|([^\s;]*))')  # of a Content-Type; lenient, as clients vary


async def accept_upload(services: Services, scope: HTTPScope, receive: Receive, *, only_form: bool) -> JobAccepted:
    """Return the body of the 202 once audio and job are committed. Raises IngestError or BlobStoreError."""
    caller = caller_of(scope)
    require(caller, KeyScope.SUBMIT)  # the fast path runs no guards
    head, key = upload_head(scope, only_form=only_form), idempotency_key(_values(scope, b"idempotency-key"))
    accepted = await _submit(services, caller.tenant, key, head, checked_body(scope, receive))
    if isinstance(accepted, AcceptedJob):
        services.notifier.notify_soon(*accepted.dispatches)
        note_accepted(accepted.job_id)
    return JobAccepted(job_id=str(accepted.job_id), status=JobStatus.QUEUED, links=Links.of(accepted.job_id))


def checked_body(scope: HTTPScope, receive: Receive) -> Receive:
    """Wrap `receive`: the body is compared with the digests of the request's head. Raise RefusedError."""
    # A field may have several lines.
    fields = [",".join(lines) for name in DIGEST_HEADERS if (lines := _values(scope, name))]
    return with_checked_digests(receive, fields) if fields else receive


def _submit(
    services: Services, tenant: str, key: str | None, head: UploadHead, receive: Receive
) -> Awaitable[AcceptedJob | StoredResponse]:
    if key is None:
        return services.uploads.submitter.submit(tenant, head, receive)
    return services.uploads.idempotent.submit(tenant, key, head, receive)


def _values(scope: HTTPScope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def upload_head(scope: HTTPScope, *, only_form: bool) -> UploadHead:
    """Return what the head says about the body."""
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
    """The media type in lower case, and the boundary of a form."""
    kind, _, _ = header.partition(";")
    boundaries = (quoted or plain for name, quoted, plain in PARAMETER.findall(header) if name.lower() == "boundary")
    return kind.strip().lower(), next(boundaries, None)
