"""Whose request it is, and what it may do."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from ingest_service.errors import RefusedError

IN_SCOPE = "headrace_caller"  # where it stands among what ASGI says of a request


class Scope(StrEnum):
    """What a key is for."""

    SUBMIT = "submit"  # hand in audio, cancel and erase it
    READ = "read"  # see jobs and their results
    ADMIN = "admin"  # operate: dead letters, keys, metrics


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant, by one of its keys."""

    tenant: str
    scopes: frozenset[Scope]
    key_id: str | None = None  # None: nobody had to show one


LOCAL = Caller(tenant="default", scopes=frozenset(Scope))  # where no keys are asked for


def caller_of(scope: Any) -> Caller:
    """Whose request an ASGI scope is, once it is authenticated. RefusedError `unauthorized` before, on open paths."""
    caller: Caller | None = scope.get(IN_SCOPE)
    if caller is None:
        raise RefusedError("unauthorized", "This request needs an API key.")
    return caller


def key_id_of(scope: Any) -> str | None:
    """By which key the request comes, if by any that is known."""
    caller: Caller | None = scope.get(IN_SCOPE)
    return caller.key_id if caller else None


def require(caller: Caller, needed: Scope) -> None:
    """Raise RefusedError `forbidden` unless the caller's key is for that."""
    if needed not in caller.scopes:
        raise RefusedError("forbidden", f"This API key does not have the scope `{needed}`.")


# The guard of all routes: each says by `opt=needs(…)` what a key must be for; one that says nothing, for admins.

NEEDS = "needs_scope"
OPEN: Mapping[str, None] = {NEEDS: None}  # no key at all


def needs(scope: Scope) -> dict[str, Scope]:
    """A route's `opt`."""
    return {NEEDS: scope}


def require_scope(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Raise RefusedError `unauthorized` or `forbidden` unless the request may go on."""
    needed = handler.opt.get(NEEDS, Scope.ADMIN)
    if needed is not None:
        require(caller_of(connection.scope), needed)
