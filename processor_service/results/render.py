"""Renders a result without delaying heartbeats: short ones here, long ones in a process of their own."""

import asyncio
import os
import re
import sys
from uuid import UUID

from processor_service.errors import TransientError
from shared.schemas.failures import FailureCode
from shared.unspaced import UNSPACED

INLINE_BYTES = 16 << 10  # of JSON: a minute of speech, rendered in 3 ms; a process takes 100 ms
IS_UNSPACED = re.compile(f"[{UNSPACED}]")  # scripts whose dictionaries take hundreds of milliseconds to load
TIMEOUT_S = 180.0
AT_ONCE = 2  # processes


async def rendered(stored: bytes, wanted: str, job_id: UUID, processes: asyncio.Semaphore) -> bytes:
    """Return a stored transcript in a format. Raise TransientError if its process does not end well."""
    if len(stored) <= INLINE_BYTES and not IS_UNSPACED.search(stored.decode()):
        # Most processors render nothing: they need not hold this in memory.
        from shared.formats.render import render_stored

        return render_stored(stored, wanted, str(job_id))
    async with processes, asyncio.timeout(TIMEOUT_S):
        return await _in_process(stored, wanted, job_id)


async def _in_process(stored: bytes, wanted: str, job_id: UUID) -> bytes:
    """Render in a process. It gets no environment: ours holds secrets."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "shared.formats", wanted, str(job_id)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # so that its low priority counts
        env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    try:
        text, _ = await process.communicate(stored)
    finally:
        if process.returncode is None:
            process.kill()
            await asyncio.shield(process.wait())
    if process.returncode:
        raise TransientError(FailureCode.INTERNAL, f"A render ended with status {process.returncode}.")
    return text
