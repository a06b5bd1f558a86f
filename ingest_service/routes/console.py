"""The console: `/` and the other paths of its page, and the page's files below `/console/<hash of all files>/`.

The page is a client of the public API and nothing else. `HEADRACE_CONSOLE=false` takes these routes away.
"""

from typing import Any
from urllib.parse import urlsplit

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from ingest_service.auth.caller import OPEN
from ingest_service.console_files import FILES_URL, PAGE_PATHS, ConsoleFile, ConsoleFiles
from ingest_service.errors import RefusedError
from ingest_service.routes.conditional import HeadersOnly, Validators, early_answer
from ingest_service.services import Services

FOR_EVER = "public, max-age=31536000, immutable"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:{bucket}; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PAGE_HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cache-Control": "no-cache",  # ask each time: the answer names the files of the running version
}
FILE_HEADERS = {"Cache-Control": FOR_EVER}


@get(list(PAGE_PATHS), opt=OPEN, include_in_schema=False)
async def show_page(
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    console_files: NamedDependency[ConsoleFiles],
) -> Response[Any]:
    """The page; without the browser's modules, one that says how to get them."""
    policy = POLICY.format(bucket=await bucket_source(services))
    return _answer(request, console_files.page, PAGE_HEADERS | {"Content-Security-Policy": policy})


async def bucket_source(services: Services) -> str:
    """Return the bucket as a source of media, after a blank, if downloads are redirected to it; otherwise nothing."""
    if not services.presigned_downloads:
        return ""
    url = await services.blobs.download_url("console", expires_s=1.0)  # signed here: no request is sent
    return f" {urlsplit(url)._replace(path='', query='', fragment='').geturl()}" if url else ""


@get(f"{FILES_URL}/{{version:str}}/{{path:path}}", opt=OPEN, include_in_schema=False, sync_to_thread=False)
def get_file(
    request: Request[Any, Any, Any],
    version: FromPath[str],
    path: FromPath[str],
    console_files: NamedDependency[ConsoleFiles],
) -> Response[Any]:
    """A file of the page. The files of another version of the service are not found."""
    return _answer(request, find_file(console_files, version, path), FILE_HEADERS)


def find_file(console: ConsoleFiles, version: str, path: str) -> ConsoleFile:
    """Return the file of a path. Raise RefusedError `not_found`. The path is a key, never one of the disk."""
    found = console.files.get(path.removeprefix("/")) if version == console.hash else None
    if found is None:
        raise RefusedError("not_found", "")
    return found


def _answer(request: Request[Any, Any, Any], file: ConsoleFile, headers: dict[str, str]) -> Response[Any]:
    is_gzipped = accepts_gzip(request.headers.get("accept-encoding", ""))
    etag = f'{file.etag[:-1]}-gzip"' if is_gzipped else file.etag
    headers = {**headers, "ETag": etag, "Vary": "Accept-Encoding"}
    early = early_answer(request.headers, Validators(etag))
    if early is not None:
        return HeadersOnly(None, status_code=304, headers=headers) if early.status_code == 304 else early
    if is_gzipped:
        headers["Content-Encoding"] = "gzip"
    return Response(file.gzipped if is_gzipped else file.plain, media_type=file.media_type, headers=headers)


def accepts_gzip(header: str) -> bool:
    """Return whether a client takes gzip: it names gzip or `*`, and does not refuse it by `q=0`."""
    for part in header.lower().split(","):
        name, _, weight = part.partition(";")
        if name.strip() in {"gzip", "*"}:
            return weight.replace(" ", "").rstrip("0").rstrip(".") not in {"q=", "q=0"}
    return False


ROUTES = (show_page, get_file)
