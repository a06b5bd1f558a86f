"""`GET /docs`: the OpenAPI document in a viewer, Swagger UI, that loads nothing from other hosts.

Its files are no part of the repository: `make browser-modules` fetches them, see deploy/browser_modules.py.
"""

from pathlib import Path
from typing import Any

from litestar import Response, get
from litestar.params import FromPath

from ingest_service.auth.caller import OPEN
from ingest_service.errors import RefusedError
from ingest_service.middleware.problems import problem

PACKAGE = Path(__file__).parents[1]
PAGE, MODULE = PACKAGE / "openapi/viewer", PACKAGE / "browser_modules/swagger-ui-dist"
START = "index.html"
FILES = {
    START: (PAGE, "text/html"),
    "start.js": (PAGE, "text/javascript"),
    "swagger-ui-bundle.js": (MODULE, "text/javascript"),
    "swagger-ui.css": (MODULE, "text/css"),
}
HEADERS = {
    # No inline script and style. The viewer's icons are data: URLs.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-cache",
}


@get("/docs", opt=OPEN, include_in_schema=False, sync_to_thread=True)
def show_docs() -> Response[Any]:
    """The page. Without the viewer's files, a problem that says how to get them."""
    if not (MODULE / "swagger-ui-bundle.js").exists():
        return problem("docs_not_installed")
    return _file(START)


@get("/docs/{name:str}", opt=OPEN, include_in_schema=False, sync_to_thread=True)
def get_docs_file(name: FromPath[str]) -> Response[Any]:
    """A file of the page."""
    return _file(name)


def _file(name: str) -> Response[Any]:
    folder, media_type = FILES.get(name, (PAGE, ""))
    if not media_type:
        raise RefusedError("not_found", "")
    try:
        return Response((folder / name).read_bytes(), media_type=media_type, headers=HEADERS)
    except FileNotFoundError:
        return problem("docs_not_installed")


ROUTES = (show_docs, get_docs_file)
