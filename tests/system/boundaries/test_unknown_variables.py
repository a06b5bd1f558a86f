"""Both services log each unknown `HEADRACE_*` variable once at start, without its value."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from tests.support.stack.launched import ROOT

pytestmark = pytest.mark.process

UNREACHABLE = "127.0.0.1:1"
ENVIRON = {
    "HEADRACE_DATABASE_URL": f"postgresql://user@{UNREACHABLE}/none",
    "HEADRACE_REDIS_URL": f"redis://{UNREACHABLE}",
    "HEADRACE_LOG_FORMAT": "json",
    "HEADRACE_PORT": "0",
    "HEADRACE_INGEST_PROCESSES": "2",
    "HEADRACE_TRANSCRIBER": "scripted",
    "HEADRACE_SLOTS": "1",
    "HEADRACE_PROVIDER_ACME_KEY": "key of a provider that is not listed",
}
UNKNOWN = {"HEADRACE_SLOT": "hidden", "HEADRACE_PROTS": "hidden"}
EXPECTED = [
    {"name": "HEADRACE_PROTS", "nearest": "HEADRACE_PORT"},
    {"name": "HEADRACE_SLOT", "nearest": "HEADRACE_SLOTS"},
]
SERVICES = ("ingest_service", "processor_service")


async def start(module: str, environ: dict[str, str]) -> asyncio.subprocess.Process:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, cwd=ROOT, env=clean | environ, stdout=PIPE, stderr=PIPE
    )


async def errors_of(module: str, environ: dict[str, str]) -> list[str]:
    """Return what the service writes to stderr until it ends.

    The ingest starts without a database, so it is stopped once it serves.
    """
    process = await start(module, environ)
    assert process.stderr is not None
    lines: list[str] = []
    async with asyncio.timeout(60):
        async for line in process.stderr:
            lines.append(line.decode())
            if "Application startup complete" in lines[-1] and process.returncode is None:
                process.terminate()
        await process.wait()
    return lines


@pytest.mark.parametrize("module", SERVICES)
async def test_each_unknown_variable_is_logged_once(module: str, tmp_path: Path) -> None:
    lines = await errors_of(module, {**ENVIRON, **UNKNOWN, "HEADRACE_STORAGE_URL": tmp_path.as_uri()})
    events = [json.loads(line) for line in lines if line.startswith("{")]
    unknown = [event for event in events if event["event"] == "unknown_setting"]
    assert [{name: event[name] for name in ("name", "nearest")} for event in unknown] == EXPECTED
    assert {event["level"] for event in unknown} == {"WARNING"}
    assert "hidden" not in "".join(lines)


@pytest.mark.parametrize("module", SERVICES)
async def test_an_unknown_variable_is_logged_before_the_missing_setting(module: str) -> None:
    *warnings, last = await errors_of(module, {**ENVIRON, "HEADRACE_STORAGE_URI": "file:///hidden"})
    assert ["did you mean HEADRACE_STORAGE_URL?" in line for line in warnings] == [True]
    assert "HEADRACE_STORAGE_URL is not set" in last
    assert "hidden" not in "".join((*warnings, last))


@pytest.mark.parametrize("module", SERVICES)
async def test_settings_of_the_other_service_are_not_unknown(module: str, tmp_path: Path) -> None:
    lines = await errors_of(module, {**ENVIRON, "HEADRACE_STORAGE_URL": tmp_path.as_uri()})
    assert not [line for line in lines if "unknown_setting" in line]
