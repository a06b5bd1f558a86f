"""The short profile of the chaos runs, as `make chaos` starts it: no invariant is violated, every number holds."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE

from tests.chaos.services import ROOT

SEED = os.environ.get("CHAOS_SEED", "1")
WITHIN_S = 1200  # twice what it takes on two cores


async def test_nothing_is_lost_in_any_run() -> None:
    command = [sys.executable, "-m", "tests.chaos", "--profile", "short", "--seed", SEED]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=PIPE)
    try:
        output, _ = await asyncio.wait_for(process.communicate(), WITHIN_S)
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    print(output.decode())
    assert json.loads(output)["violations"] == 0
    assert process.returncode == 0
