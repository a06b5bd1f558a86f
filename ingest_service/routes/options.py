"""`OPTIONS` of every path: the methods that it has, in `Allow`.

The framework would answer for itself, but of a path with several handlers it tells only the method of the first.
"""

from collections.abc import Sequence
from typing import Any

from litestar import Request, Response, Router, route
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler

from ingest_service.auth.caller import OPEN


def answering_options(routes: Sequence[HTTPRouteHandler | Router]) -> HTTPRouteHandler:
    """The handler for the paths of others; to be registered before them. Who has an OPTIONS of its own keeps it.

    A router answers for itself.
    """
    handlers = [one for one in routes if isinstance(one, HTTPRouteHandler)]
    own = {path for handler in handlers if HttpMethod.OPTIONS in handler.http_methods for path in handler.paths}
    paths = sorted({path for handler in handlers for path in handler.paths} - own)
    return route(paths, http_method=[HttpMethod.OPTIONS], include_in_schema=False, sync_to_thread=False, opt=OPEN)(
        _answer
    )


def _answer(request: Request[Any, Any, Any]) -> Response[None]:
    template = request.scope["path_template"]
    methods = next(route.methods for route in request.app.routes if template in {route.path, route.path_format})
    return Response(None, status_code=204, headers={"Allow": ", ".join(sorted(methods))})
