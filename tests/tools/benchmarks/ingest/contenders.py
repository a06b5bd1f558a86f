"""The compared servers: how each is started, and which check applies to its accepted uploads."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from tests.support.stack.launched import ROOT

USUAL_PACKAGES = Path(sys.prefix) / "usual"  # separate; deploy/constraints-bench.txt gives the reason
HOST = "127.0.0.1"


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A server's configuration. `uploads` and `scratch` are empty folders, on the same disk for all contenders."""

    port: int
    processes: int
    uploads: Path
    scratch: Path
    database_url: str
    redis_url: str


class Contender(msgspec.Struct, frozen=True, kw_only=True):
    """`command` and `environ` start the server; `kind` selects the check."""

    name: str
    kind: str
    command: Callable[[ServerConfig], Sequence[str]]
    environ: Callable[[ServerConfig], dict[str, str]]

    @property
    def missing(self) -> str | None:
        """Return the reason why it cannot run, or None."""
        if self.kind == "usual" and not (USUAL_PACKAGES / "fastapi").exists():
            return f"packages missing in {USUAL_PACKAGES}. Install them with `make bench-ingest`"
        return None

    def environment(self, config: ServerConfig) -> dict[str, str]:
        """Return the full environment. The caller's HEADRACE_* variables override ours."""
        ours = {"PYTHONPATH": str(ROOT), "TMPDIR": str(config.scratch)}
        given = {name: value for name, value in os.environ.items() if name.startswith("HEADRACE_")}
        return {**os.environ, **ours, **self.environ(config), **given}


def _headrace(config: ServerConfig, *, fsync: bool) -> dict[str, str]:
    return {
        "HEADRACE_AUTH": "none",
        "HEADRACE_HOST": HOST,
        "HEADRACE_PORT": str(config.port),
        "HEADRACE_INGEST_PROCESSES": str(config.processes),
        "HEADRACE_DATABASE_URL": config.database_url,
        "HEADRACE_REDIS_URL": config.redis_url,
        "HEADRACE_STORAGE_URL": config.uploads.as_uri(),
        "HEADRACE_FSYNC": str(fsync).lower(),
    }


def _usual(config: ServerConfig) -> dict[str, str]:
    return {
        "PYTHONPATH": f"{USUAL_PACKAGES}{os.pathsep}{ROOT}",
        "DATABASE_URL": config.database_url,
        "REDIS_URL": config.redis_url,
        "UPLOAD_FOLDER": str(config.uploads),
    }


def _uvicorn(module: str, *options: str) -> Callable[[ServerConfig], Sequence[str]]:
    def command(config: ServerConfig) -> Sequence[str]:
        server = [sys.executable, "-m", "uvicorn", f"tests.tools.benchmarks.ingest.{module}:app", "--host", HOST]
        uvicorn_options = ["--port", str(config.port), "--workers", str(config.processes), "--loop", "uvloop"]
        return [*server, *uvicorn_options, "--http", "httptools", *options]

    return command


def _module(name: str, *arguments: str) -> Callable[[ServerConfig], Sequence[str]]:
    return lambda config: [sys.executable, "-m", name, *(argument.format(port=config.port) for argument in arguments)]


HEADRACE = Contender(
    name="headrace",
    kind="headrace",
    command=_module("ingest_service"),
    environ=lambda config: _headrace(config, fsync=False),
)
HEADRACE_FSYNC = Contender(
    name="headrace-fsync",
    kind="headrace",
    command=_module("ingest_service"),
    environ=lambda config: _headrace(config, fsync=True),
)
USUAL = Contender(name="usual", kind="usual", command=_uvicorn("usual_stack"), environ=_usual)
USUAL_ASYNC = Contender(name="usual-async", kind="usual", command=_uvicorn("usual_stack_async"), environ=_usual)
BARE = Contender(
    name="bare",
    kind="bare",
    command=_uvicorn("bare_sink", "--lifespan", "off", "--no-access-log"),
    environ=lambda config: {"SINK_FOLDER": str(config.uploads)},
)
GENERATOR = Contender(  # always one process: it needs less CPU than the generator
    name="generator",
    kind="generator",
    command=_module("tests.tools.benchmarks.ingest.instant_server", "{port}"),
    environ=lambda _: {},
)
CONTENDERS = (HEADRACE, HEADRACE_FSYNC, USUAL, USUAL_ASYNC, BARE, GENERATOR)
