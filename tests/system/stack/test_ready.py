"""Output of `make run` before and when it is ready, and warnings about unknown variables."""

import asyncio
import os
import signal
from asyncio.subprocess import Process
from pathlib import Path

import aiohttp
import pytest

from tests.support.stack.launched import TIMEOUT_S, Launched, line_with, until

pytestmark = pytest.mark.process

pytestmark = pytest.mark.process

SCRIPTED = {"PROCESSORS": "1", "HEADRACE_TRANSCRIBER": "scripted"}
READY = "Headrace is ready"


async def lines_until(process: Process, words: str) -> list[str]:
    """Return all lines of its output up to the one that contains the words."""
    assert process.stdout is not None
    lines: list[str] = []
    async with asyncio.timeout(TIMEOUT_S):
        async for line in process.stdout:
            lines.append(line.decode())
            if words in lines[-1]:
                return lines
    raise AssertionError(lines)


async def processors(url: str) -> str:
    async with aiohttp.ClientSession() as client, client.get(f"{url}/health/ready") as answer:
        return str((await answer.json())["processors"]["status"])


@pytest.mark.parametrize(("count", "are"), [("1", "The processor is"), ("2", "The processors are")])
async def test_ready_is_printed_when_a_processor_takes_tasks(tmp_path: Path, count: str, are: str) -> None:
    stack = Launched(tmp_path / "data", environ={**SCRIPTED, "PROCESSORS": count})
    async with stack.started() as launcher:
        loading = await line_with(launcher, f"{are} still loading")
        url = loading.split("/v1/jobs")[0].split()[-1]
        assert await processors(url) == "not_seen"
        assert url in await line_with(launcher, READY)
        assert await processors(url) == "seen"


async def test_a_processor_killed_while_it_loads_is_restarted(tmp_path: Path) -> None:
    """The restart is printed first; "Headrace is ready" waits for the new process."""
    stack = Launched(tmp_path / "data", environ=SCRIPTED)
    async with stack.started() as launcher:
        await line_with(launcher, "still loading")
        os.kill(stack.pids()["processor-0"], signal.SIGKILL)
        lines = await lines_until(launcher, READY)
        assert [line for line in lines if "processor-0 ended (signal SIGKILL); restarting it" in line]


async def test_ready_is_not_printed_if_no_processor_loads_its_model(tmp_path: Path) -> None:
    model = tmp_path / "broken"
    model.mkdir()
    (model / "model.bin").write_bytes(b"no model")
    environ = {"PROCESSORS": "1", "HEADRACE_MODEL": str(model), "HEADRACE_TRANSCRIBER": "faster-whisper"}
    stack = Launched(tmp_path / "data", environ=environ)
    async with stack.started() as launcher:
        await line_with(launcher, f"still loading the model {model}")
        lines = await lines_until(launcher, "processor-0 ended (exit status 1); restarting it")
        assert not [line for line in lines if READY in line]


async def test_without_processors_a_line_says_that_none_runs(tmp_path: Path) -> None:
    stack = Launched(tmp_path / "data")
    async with stack.ready() as launcher:
        assert "PROCESSORS=0" in await line_with(launcher, "No processor runs")
        assert await processors(stack.url) == "not_seen"


async def test_an_unknown_variable_is_reported_once(tmp_path: Path) -> None:
    """The launcher does not pass it to the services, so they do not warn again."""
    environ = {
        **SCRIPTED,
        "HEADRACE_MODLE": "hidden",
        "HEADRACE_PROVIDER_ACME_KEY": "k",
        "HEADRACE_INGEST_PROCESSES": "2",
    }
    stack = Launched(tmp_path / "data", environ=environ)
    async with stack.started() as launcher:
        await line_with(launcher, READY)
        await until(lambda: "processor-0" in stack.pids())
        assert "HEADRACE_MODLE" not in stack.settings()
        launcher.send_signal(signal.SIGTERM)
        output, errors = (text.decode() for text in await asyncio.wait_for(launcher.communicate(), TIMEOUT_S))
        warnings = [
            line for line in (output + errors).splitlines() if "no such setting" in line or "unknown_setting" in line
        ]
        assert warnings == [
            "warning: HEADRACE_MODLE is set, but there is no such setting; did you mean HEADRACE_MODEL?"
        ]
        assert "hidden" not in output + errors
