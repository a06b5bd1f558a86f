"""Memory of a process and its descendants, from the kernel's accounting."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.stack.launched import descendants

SAMPLE_EVERY_S = 0.2


class Peak:
    """The largest sums seen, in MB. `proportional_mb` counts shared memory once."""

    resident_mb = 0.0
    proportional_mb = 0.0


@asynccontextmanager
async def peak_memory(pid: int) -> AsyncIterator[Peak]:
    """Sample a process tree during a block."""
    peak = Peak()
    sampling = asyncio.create_task(_sample(pid, peak))
    try:
        yield peak
    finally:
        sampling.cancel()


async def _sample(pid: int, peak: Peak) -> None:
    while True:
        pids = {pid, *descendants(pid)}
        peak.resident_mb = max(peak.resident_mb, sum(_rollup_mb(one, "Rss") for one in pids))
        peak.proportional_mb = max(peak.proportional_mb, sum(_rollup_mb(one, "Pss") for one in pids))
        await asyncio.sleep(SAMPLE_EVERY_S)


def _rollup_mb(pid: int, field: str) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0  # the process has just ended
    return sum(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024
