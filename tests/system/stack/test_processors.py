"""Processors under the launcher: their child processes end with them."""

import os
import signal
from pathlib import Path

import pytest

from tests.support.stack.launched import Launched, alive, descendants, line_with, stopped, until

pytestmark = pytest.mark.process


async def test_a_killed_processor_leaves_no_process(tmp_path: Path) -> None:
    environ = {"PROCESSORS": "2", "HEADRACE_TRANSCRIBER": "scripted"}
    stack = Launched(tmp_path / "data", environ=environ)
    async with stack.ready() as launcher:
        await until(lambda: {"processor-0", "processor-1"} <= set(stack.pids()))
        processor = stack.pids()["processor-0"]
        await until(lambda: bool(descendants(processor)))
        doomed = {processor, *descendants(processor)}
        os.kill(processor, signal.SIGKILL)
        await line_with(launcher, "processor-0 ended (signal SIGKILL)")
        assert not alive(doomed)
        await until(lambda: stack.pids().get("processor-0", processor) != processor)
        pids = descendants(launcher.pid)
        assert await stopped(launcher) == 0
        assert not alive(pids)
