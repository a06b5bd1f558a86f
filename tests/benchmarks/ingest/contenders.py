"""Who is compared: how each server is started, and how what it accepted is checked afterwards."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from tests.stack.launched import ROOT

USUAL_PACKAGES = Path(sys.prefix) / "usual"  # apart: deploy/constraints-bench.txt says why
HOST = "127.0.0.1"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What a server is given; `uploads` is an empty folder on the same disk for all, `scratch` another."""

    port: int
    processes: int
    uploads: Path
    scratch: Path
    database_url: str
    redis_url: str


class Contender(msgspec.Struct, frozen=True, kw_only=True):
    """`command` and `environ` make its server; `kind` tells which check fits."""

    name: str
    kind: str
    command: Callable[[Place], Sequence[str]]
    environ: Callable[[Place], dict[str, str]]

    @property
    def missing(self) -> str | None:
        """Why it cannot run, or None."""
        if self.kind == "usual" and not (USUAL_PACKAGES / "fastapi").exists():
            return f"its packages are not in {USUAL_PACKAGES}: `make bench-ingest` installs them"
        return None

    def environment(self, place: Place) -> dict[str, str]:
        """The whole of it. HEADRACE_* variables of the caller override ours."""
        ours = {"PYTHONPATH": str(ROOT), "TMPDIR": str(place.scratch)}
        given = {name: value for name, value in os.environ.items() if name.startswith("HEADRACE_")}
        return {**os.environ, **ours, **self.environ(place), **given}


def _headrace(place: Place, *, fsync: bool) -> dict[str, str]:
    return {
        "HEADRACE_AUTH": "none",
        "HEADRACE_HOST": HOST,
        "HEADRACE_PORT": str(place.port),
        "HEADRACE_INGEST_PROCESSES": str(place.processes),
        "HEADRACE_DATABASE_URL": place.database_url,
        "HEADRACE_REDIS_URL": place.redis_url,
        "HEADRACE_STORAGE_URL": place.uploads.as_uri(),
        "HEADRACE_FSYNC": str(fsync).lower(),
    }


def _usual(place: Place) -> dict[str, str]:
    return {
        "PYTHONPATH": f"{USUAL_PACKAGES}{os.pathsep}{ROOT}",
        "DATABASE_URL": place.database_url,
        "REDIS_URL": place.redis_url,
        "UPLOAD_FOLDER": str(place.uploads),
    }


def _uvicorn(module: str, *options: str) -> Callable[[Place], Sequence[str]]:
    def command(place: Place) -> Sequence[str]:
        server = [sys.executable, "-m", "uvicorn", f"tests.benchmarks.ingest.{module}:app", "--host", HOST]
        choices = ["--port", str(place.port), "--workers", str(place.processes), "--loop", "uvloop"]
        return [*server, *choices, "--http", "httptools", *options]

    return command


def _module(name: str, *arguments: str) -> Callable[[Place], Sequence[str]]:
    return lambda place: [sys.executable, "-m", name, *(argument.format(port=place.port) for argument in arguments)]


HEADRACE = Contender(
    name="headrace",
    kind="headrace",
    command=_module("ingest_service"),
    environ=lambda place: _headrace(place, fsync=False),
)
HEADRACE_FSYNC = Contender(
    name="headrace-fsync",
    kind="headrace",
    command=_module("ingest_service"),
    environ=lambda place: _headrace(place, fsync=True),
)
USUAL = Contender(name="usual", kind="usual", command=_uvicorn("usual_stack"), environ=_usual)
USUAL_ASYNC = Contender(name="usual-async", kind="usual", command=_uvicorn("usual_stack_async"), environ=_usual)
BARE = Contender(
    name="bare",
    kind="bare",
    command=_uvicorn("bare_sink", "--lifespan", "off", "--no-access-log"),
    environ=lambda place: {"SINK_FOLDER": str(place.uploads)},
)
GENERATOR = Contender(  # one process always: it costs less than the generator itself
    name="generator",
    kind="generator",
    command=_module("tests.benchmarks.ingest.instant_server", "{port}"),
    environ=lambda _: {},
)
CONTENDERS = (HEADRACE, HEADRACE_FSYNC, USUAL, USUAL_ASYNC, BARE, GENERATOR)
