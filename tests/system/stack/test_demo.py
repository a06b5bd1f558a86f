"""`make demo`, as a new user runs it."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from tests.support.stack.launched import ROOT

pytestmark = pytest.mark.process

DEMO_WITHIN_S = 180


async def test_prints_the_text_and_verifies_the_webhook(tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    environ["TMPDIR"] = str(tmp_path)
    command = [sys.executable, "-m", "deploy.local", "demo"]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environ, stdout=PIPE, stderr=PIPE)
    output, errors = await asyncio.wait_for(process.communicate(), DEMO_WITHIN_S)
    assert process.returncode == 0, errors.decode()
    *_, words, verdict = output.decode().splitlines()
    assert "ask what you can do for your country" in words
    assert verdict == "webhook verified"
    assert not left_behind(tmp_path)


def left_behind(folder: Path) -> list[str]:
    """Return the files in a folder and the command lines of processes that run there."""
    commands = [path.read_text() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    return [*map(str, folder.iterdir()), *(command for command in commands if str(folder) in command)]
