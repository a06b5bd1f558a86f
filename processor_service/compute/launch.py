"""Starts the process of a compute child: in a session of its own, with pipes, knowing nothing of our surroundings."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

# What a child may know of its surroundings. Settings and secrets are not among it.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "PYTHONPATH", "CUDA_VISIBLE_DEVICES")


async def launch(*, threads: int, temporary: Path) -> Process:
    """A child that waits for its first request; `temporary` is where its temporary files go."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "processor_service.compute.child",
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        start_new_session=True,
        env=_environment(threads, temporary),
    )


def _environment(threads: int, temporary: Path) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, [inherited.get("PYTHONPATH")])]
    return inherited | {
        "PYTHONPATH": os.pathsep.join(paths),
        "TMPDIR": str(temporary),
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",  # waiting threads sleep, so that busy slots do not steal from each other
        "MALLOC_ARENA_MAX": "2",  # one arena a thread keeps freed chunks of audio resident
    }
