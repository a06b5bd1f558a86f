"""The memory of a process and all that it started, as the kernel accounts for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.stack.launched import descendants

SAMPLE_EVERY_S = 0.2


class Peak:
    """The largest sums seen, in MB; `proportional_mb` counts memory that processes share once."""

    resident_mb = 0.0
    proportional_mb = 0.0


@asynccontextmanager
async def peak_memory(pid: int) -> AsyncIterator[Peak]:
    """Watch a process tree for the length of a block."""
    peak = Peak()
    watching = asyncio.create_task(_watch(pid, peak))
    try:
        yield peak
    finally:
        watching.cancel()


async def _watch(pid: int, peak: Peak) -> None:
    while True:
        pids = {pid, *descendants(pid)}
        peak.resident_mb = max(peak.resident_mb, sum(_rollup_mb(one, "Rss") for one in pids))
        peak.proportional_mb = max(peak.proportional_mb, sum(_rollup_mb(one, "Pss") for one in pids))
        await asyncio.sleep(SAMPLE_EVERY_S)


def _rollup_mb(pid: int, field: str) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0  # it has just ended
    return sum(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024
