"""`/v1/session`: a browser exchanges an API key for a session cookie, and any client learns what it may do."""

import datetime as dt
from typing import Any

from litestar import Request, Response, delete, get, post
from litestar.di import NamedDependency

from ingest_service.auth.caller import ANY_CALLER, Caller
from ingest_service.auth.key_cache import unauthorized
from ingest_service.auth.session_cookie import SessionCookie, session_cookie_in
from ingest_service.auth.sessions import Auth, SessionLimits, SessionView, create_session, csrf_token_of, end_session
from ingest_service.errors import RefusedError
from ingest_service.middleware.session_guard import refuse_other_pages
from ingest_service.openapi.keys import END_SESSION, SHOW_SESSION, START_SESSION
from ingest_service.services import Services
from ingest_service.tus.parts import PART_BYTES

AnyRequest = Request[Any, Any, Any]


@post(
    "/v1/session",
    responses=START_SESSION,
    opt=ANY_CALLER,
    operation_id="startSession",
    tags=["session"],
    summary="Start a session",
)
async def start_session(
    request: AnyRequest, caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[SessionView]:
    """Exchange the API key of the request's header for a cookie, which then authenticates requests like the key.

    It is valid for 8 hours, but not longer than the key. Requests with it that are not GET or HEAD need `csrf_token` in
    `X-CSRF-Token`. A service without keys sets no cookie.
    """
    if caller.session_id is not None:
        raise unauthorized("A session cannot start another. Send an API key in a header.")
    if caller.key_id is None:
        return Response(_view(caller, services, "none"), status_code=201)
    headers = request.scope["headers"]
    refuse_other_pages(headers)
    async with services.database.transaction(caller.tenant) as connection:
        session = await create_session(connection, caller)
    cookie = SessionCookie(session.token, is_secure=_is_tls(request))
    view = _view(caller, services, "session", cookie, session.expires_at)
    return Response(view, status_code=201, headers={"Set-Cookie": cookie.field(session.left_s)})


def _is_tls(request: AnyRequest) -> bool:
    """Return whether the browser speaks TLS. A proxy may end it; `Origin`, which pages cannot change, shows that."""
    return request.scope["scheme"] == "https" or request.headers.get("origin", "").startswith("https://")


@get(
    "/v1/session",
    responses=SHOW_SESSION,
    opt=ANY_CALLER,
    operation_id="getSession",
    tags=["session"],
    summary="Get the session",
    sync_to_thread=False,
)
def get_session(
    request: AnyRequest, caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> SessionView:
    """The tenant, scopes and limits of the caller, however it is authenticated, and the session's `csrf_token`."""
    if caller.session_id is None:
        return _view(caller, services, "none" if caller.key_id is None else "key")
    return _view(caller, services, "session", _cookie_of(request), caller.session_expires_at)


@delete(
    "/v1/session",
    responses=END_SESSION,
    opt=ANY_CALLER,
    operation_id="endSession",
    tags=["session"],
    summary="End the session",
    status_code=204,
)
async def delete_session(
    request: AnyRequest, caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[None]:
    """End the session of the cookie at once, in all processes, with its event streams, and remove the cookie."""
    cookie = _cookie_of(request)
    if caller.session_id is None or cookie is None:
        raise RefusedError("not_found", "The request was not authenticated by a session.")
    async with services.database.transaction(caller.tenant) as connection:
        await end_session(connection, caller)
    services.key_cache.invalidate(caller.session_id)  # in this process before the answer
    return Response(None, status_code=204, headers={"Set-Cookie": cookie.field(0)})


def _cookie_of(request: AnyRequest) -> SessionCookie | None:
    return session_cookie_in(request.scope["headers"], request.scope["scheme"])


def _view(
    caller: Caller,
    services: Services,
    auth: Auth,
    cookie: SessionCookie | None = None,
    expires_at: dt.datetime | None = None,
) -> SessionView:
    return SessionView(
        tenant=caller.tenant,
        scopes=tuple(sorted(caller.scopes)),
        operates=caller.operates,
        auth=auth,
        csrf_token=csrf_token_of(cookie.token) if cookie else None,
        expires_at=expires_at,
        limits=SessionLimits(max_upload_bytes=services.max_upload_bytes, tus_chunk_bytes=PART_BYTES),
    )


ROUTES = (start_session, get_session, delete_session)
