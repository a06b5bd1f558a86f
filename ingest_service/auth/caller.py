"""The caller of a request, and what it may do."""

from collections.abc import Mapping
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
    ADMIN = "admin"  # operate: dead letters, keys, metrics


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant and the key it used."""

    tenant: str
    scopes: frozenset[Scope]
    key_id: str | None = None  # None: keys are not required


LOCAL = Caller(tenant="default", scopes=frozenset(Scope))  # the caller where keys are not required


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
    """Raise RefusedError `forbidden` unless the caller has the scope."""
    if needed not in caller.scopes:
        raise RefusedError("forbidden", f"This API key does not have the scope `{needed}`.")


# Each route declares its scope with `opt=needs(…)`. A route that declares none requires `admin`.

NEEDS = "needs_scope"
OPEN: Mapping[str, None] = {NEEDS: None}  # for routes that need no key


def needs(scope: Scope) -> dict[str, Scope]:
    """The `opt` of a route."""
    return {NEEDS: scope}


def require_scope(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Guard all routes: raise RefusedError `unauthorized` or `forbidden` unless the request is allowed."""
    needed = handler.opt.get(NEEDS, Scope.ADMIN)
    if needed is not None:
        require(caller_of(connection.scope), needed)
