"""The files of the console: read, compressed and hashed once, and then served from memory.

The URL of every file but the page begins with the hash of all files, so that browsers may keep it for ever. Files
import each other by relative paths. The modules of `make browser-modules` stand below `modules/`.
"""

import gzip
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

CONSOLE = Path(__file__).parent / "console"
MODULES = Path(__file__).parent / "browser_modules"
PAGE = "index.html"
INSTALL_PAGE = "not-installed.html"  # what `/` shows without the modules
LIST = "modules.json"  # of the modules: their entries in deploy/browser-modules.lock
LEGAL = ("LICEN", "NOTICE")  # beginnings of the names of files that the page of licences shows
FILES_URL = "/console"  # the hash follows
PLACEHOLDER = b"{files}"  # in the page: FILES_URL and the hash
# The paths that show the page. Its script decides what they show.
PAGE_PATHS = (
    "/",
    "/jobs",
    "/jobs/{job_id:str}",
    "/queue",
    "/dead-letters",
    "/webhooks",
    "/keys",
    "/licences",
    "/sign-in",
)
MEDIA_TYPES = {  # the framework adds the charset of text
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
    ".txt": "text/plain",
    "": "text/plain",  # LICENSE
}
HASH_CHARS = 20
COMPRESSION = 9


class ConsoleFile(NamedTuple):
    """A file as it is served."""

    media_type: str
    etag: str
    plain: bytes
    gzipped: bytes

    @classmethod
    def of(cls, name: str, content: bytes) -> "ConsoleFile":
        """Return the file of this name and content."""
        etag = f'"{_digest(content)}"'
        return cls(MEDIA_TYPES[Path(name).suffix], etag, content, gzip.compress(content, COMPRESSION, mtime=0))


class ConsoleFiles(NamedTuple):
    """All files by their path below the hash, and the page."""

    hash: str
    files: Mapping[str, ConsoleFile]
    page: ConsoleFile  # without the modules, one that says how to get them


@cache
def read_console(console: Path = CONSOLE, modules: Path = MODULES) -> ConsoleFiles:
    """Return the console as it is on disk. Read the disk once in a process, so that hash and files fit each other."""
    contents = _own_files(console) | _files_of_modules(modules)
    hashed = _digest(b"".join(name.encode() + b"\0" + content + b"\0" for name, content in sorted(contents.items())))
    page = contents[PAGE if f"modules/{LIST}" in contents else INSTALL_PAGE]
    return ConsoleFiles(
        hash=hashed,
        files={name: ConsoleFile.of(name, content) for name, content in contents.items()},
        page=ConsoleFile.of(PAGE, page.replace(PLACEHOLDER, f"{FILES_URL}/{hashed}".encode())),
    )


def _own_files(console: Path) -> dict[str, bytes]:
    paths = (path for path in console.rglob("*") if path.is_file() and path.suffix in MEDIA_TYPES)
    return {path.relative_to(console).as_posix(): path.read_bytes() for path in paths}


def _files_of_modules(modules: Path) -> dict[str, bytes]:
    """Return the files of the modules; none if one is missing: an interrupted fetch must not stop the service."""
    try:
        return _fetched(modules)
    except (OSError, ValueError):
        return {}


def _fetched(modules: Path) -> dict[str, bytes]:
    """Return the files of the modules that were fetched: those of the console, and the licences of all."""
    paths = {LIST: modules / LIST}
    for module, entry in json.loads((modules / LIST).read_bytes()).items():
        names = (PurePosixPath(path).name for path in entry["files"])
        served = (name for name in names if entry["for"] == "console" or name.startswith(LEGAL))
        paths |= {f"{module}/{name}": modules / module / name for name in served}
    return {f"modules/{name}": path.read_bytes() for name, path in paths.items()}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:HASH_CHARS]
