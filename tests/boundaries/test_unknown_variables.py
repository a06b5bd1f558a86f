"""Both services, as processes, name the `HEADRACE_*` variables that are no settings, once and without their values."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from tests.stack.launched import ROOT

pytestmark = pytest.mark.process

NOWHERE = "127.0.0.1:1"
OF_BOTH = {
    "HEADRACE_DATABASE_URL": f"postgresql://nobody@{NOWHERE}/none",
    "HEADRACE_REDIS_URL": f"redis://{NOWHERE}",
    "HEADRACE_LOG_FORMAT": "json",
    "HEADRACE_PORT": "0",
    "HEADRACE_INGEST_PROCESSES": "2",
    "HEADRACE_TRANSCRIBER": "scripted",
    "HEADRACE_SLOTS": "1",
    "HEADRACE_PROVIDER_ACME_KEY": "of a provider that is not listed",
}
WRONG = {"HEADRACE_SLOT": "hidden", "HEADRACE_PROTS": "hidden"}
NAMED = [{"name": "HEADRACE_PROTS", "nearest": "HEADRACE_PORT"}, {"name": "HEADRACE_SLOT", "nearest": "HEADRACE_SLOTS"}]
SERVICES = ("ingest_service", "processor_service")


async def start(module: str, environ: dict[str, str]) -> asyncio.subprocess.Process:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, cwd=ROOT, env=clean | environ, stdout=PIPE, stderr=PIPE
    )


async def errors_of(module: str, environ: dict[str, str]) -> list[str]:
    """What it writes until it ends; the ingest is stopped once it serves, since it needs no database for that."""
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
async def test_by_a_line_of_the_log_each(module: str, tmp_path: Path) -> None:
    lines = await errors_of(module, {**OF_BOTH, **WRONG, "HEADRACE_STORAGE_URL": tmp_path.as_uri()})
    events = [json.loads(line) for line in lines if line.startswith("{")]
    unknown = [event for event in events if event["event"] == "unknown_setting"]
    assert [{name: event[name] for name in ("name", "nearest")} for event in unknown] == NAMED
    assert {event["level"] for event in unknown} == {"WARNING"}
    assert "hidden" not in "".join(lines)


@pytest.mark.parametrize("module", SERVICES)
async def test_beside_the_setting_that_is_missing_for_it(module: str) -> None:
    *said, last = await errors_of(module, {**OF_BOTH, "HEADRACE_STORAGE_URI": "file:///hidden"})
    assert ["did you mean HEADRACE_STORAGE_URL?" in line for line in said] == [True]
    assert "HEADRACE_STORAGE_URL is not set" in last
    assert "hidden" not in "".join((*said, last))


@pytest.mark.parametrize("module", SERVICES)
async def test_not_the_settings_of_the_other_service(module: str, tmp_path: Path) -> None:
    lines = await errors_of(module, {**OF_BOTH, "HEADRACE_STORAGE_URL": tmp_path.as_uri()})
    assert not [line for line in lines if "unknown_setting" in line]
