"""The guard of all routes: each says by `opt=needs(…)` what a key must be for; one that says nothing, for admins."""

from collections.abc import Mapping
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from ingest_service.auth.caller import Scope, caller_of, require

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
