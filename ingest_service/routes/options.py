"""`OPTIONS` of every path: its methods, in `Allow`.

The framework's own answer names only the first handler of a path with several handlers.
"""

from collections.abc import Sequence
from typing import Any

from litestar import Request, Response, Router, route
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler

from ingest_service.auth.caller import OPEN
from ingest_service.middleware.head import allowed_methods


def answering_options(routes: Sequence[HTTPRouteHandler | Router]) -> HTTPRouteHandler:
    """Return a handler for the paths of `routes`. Register it before them.

    Paths with their own OPTIONS handler, and routers, are left out.
    """
    handlers = [handler for handler in routes if isinstance(handler, HTTPRouteHandler)]
    own = {path for handler in handlers if HttpMethod.OPTIONS in handler.http_methods for path in handler.paths}
    paths = sorted({path for handler in handlers for path in handler.paths} - own)
    return route(paths, http_method=[HttpMethod.OPTIONS], include_in_schema=False, sync_to_thread=False, opt=OPEN)(
        _answer
    )


def _answer(request: Request[Any, Any, Any]) -> Response[None]:
    template = request.scope["path_template"]
    methods = next(route.methods for route in request.app.routes if template in {route.path, route.path_format})
    return Response(None, status_code=204, headers={"Allow": allowed_methods(methods)})
