"""The caller of a request, and what it may do."""

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

import msgspec
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from ingest_service.errors import RefusedError

CALLER_KEY = "headrace_caller"  # key of the ASGI scope


class Scope(StrEnum):
    """What a key may do."""

    SUBMIT = "submit"  # submit audio, cancel and erase jobs
    READ = "read"  # read jobs and results
    OBSERVE = "observe"  # see what an admin sees: dead letters, keys, metrics
    ADMIN = "admin"  # manage the tenant: dead letters, keys, webhook secret


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant, and the key or the session that it used."""

    tenant: str
    scopes: frozenset[Scope]
    key_id: str | None = None  # None: keys are not required
    operates: bool = (
        False  # sees the whole service: metrics, tracebacks, dead letters of all tenants; see `auth create`
    )
    session_id: str | None = None  # None: the request has a key in a header
    session_expires_at: dt.datetime | None = None

    @property
    def credential_id(self) -> str | None:
        """The id of what must stay valid while the request is answered."""
        return self.session_id or self.key_id

    @property
    def only_observes(self) -> bool:
        """Whether an operator's key may see other tenants, and change nothing."""
        return Scope.OBSERVE in self.scopes and Scope.ADMIN not in self.scopes


LOCAL = Caller(tenant="default", scopes=frozenset(Scope), operates=True)  # the caller where keys are not required


def caller_of(scope: Any) -> Caller:
    """The caller of an authenticated ASGI scope. RefusedError `unauthorized` on open paths, which have none."""
    caller: Caller | None = scope.get(CALLER_KEY)
    if caller is None:
        raise RefusedError("unauthorized", "This request needs an API key.")
    return caller


def key_id_of(scope: Any) -> str | None:
    """The id of the key of a request, if it used one."""
    caller: Caller | None = scope.get(CALLER_KEY)
    return caller.key_id if caller else None


def require(caller: Caller, needed: Scope) -> None:
    """Raise RefusedError `forbidden` unless the caller has the scope. `admin` includes `observe`."""
    if needed not in caller.scopes and not (needed is Scope.OBSERVE and Scope.ADMIN in caller.scopes):
        raise RefusedError("forbidden", f"This API key does not have the scope `{needed}`.")


def tenant_for(caller: Caller, named: str | None) -> str:
    """Return the tenant that a request acts for: the caller's, or for the operator the named one or ALL_TENANTS.

    Raise RefusedError `forbidden` for any other caller.
    """
    if named is None or named == caller.tenant:
        return caller.tenant
    if not caller.operates:
        raise RefusedError("forbidden", "Only the operator's key may name another `tenant`. Leave the parameter out.")
    return named


# Each route declares its scope with `opt=needs(…)`. A route that declares none requires `admin`.

NEEDS = "needs_scope"
OR_OBSERVE = "or_observe"
SHOWS = "shows_secret"
FOR_OPERATOR = "for_operator"
OPEN: Mapping[str, None] = {NEEDS: None}  # for routes that need no key
ANY_CALLER = OPEN  # for routes that need a key, whatever it may do: authentication, not the guard, asks for it


def needs(
    scope: Scope, *, or_observe: bool = False, gives_secret: bool = False, or_operator: bool = False
) -> dict[str, Any]:
    """The `opt` of a route. One that answers with a secret is closed to pages in browsers where keys are not needed.

    `or_observe`: the scope `observe` is enough, too. `or_operator`: the operator's key needs no scope. One that only
    observes may use routes for `observe` only.
    """
    return {NEEDS: scope, OR_OBSERVE: or_observe, SHOWS: gives_secret, FOR_OPERATOR: or_operator}


def require_scope(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Guard all routes: raise RefusedError `unauthorized` or `forbidden` unless the request is allowed."""
    needed = handler.opt.get(NEEDS, Scope.ADMIN)
    if handler.opt.get(OR_OBSERVE) and needed not in caller_of(connection.scope).scopes:
        needed = Scope.OBSERVE
    if needed is not None and not (handler.opt.get(FOR_OPERATOR) and _operates(caller_of(connection.scope), needed)):
        require(caller_of(connection.scope), needed)
    if handler.opt.get(SHOWS) and caller_of(connection.scope).key_id is None:
        _refuse_pages(connection.scope["headers"])


def _operates(caller: Caller, needed: Scope) -> bool:
    return caller.operates and (needed is Scope.OBSERVE or not caller.only_observes)


def _refuse_pages(headers: Iterable[tuple[bytes, bytes]]) -> None:
    if is_from_page(headers):
        raise RefusedError("page_not_allowed", "")


def is_from_page(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Return whether a browser sent the request for a page. `Sec-Fetch-Mode` does not count: Node.js sends it, too."""
    return any(name in {b"origin", b"referer", b"sec-fetch-site"} for name, _ in headers)


JSON_TYPE = re.compile(r"application/(?:[a-z0-9!#$&^_.+-]+\+)?json", re.IGNORECASE)


def require_json(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Guard all routes: raise RefusedError `unsupported_content_type` for a JSON body of another type.

    A browser sends `text/plain` across sites without asking; for JSON, it asks.
    """
    if "data" not in handler.parsed_fn_signature.parameters:
        return
    types = connection.headers.getall("content-type", [])
    if len(types) != 1 or not JSON_TYPE.fullmatch(types[0].partition(";")[0].strip()):
        raise RefusedError("unsupported_content_type", "Send the body as application/json.")
