"""One hour in 60 chunks on increasing numbers of slots of one processor, with a transcriber that waits a fixed time.

Measures Headrace's own cost of a chunk: dispatch, claim, read, reply, store and settle. The slots share the cores of
this machine; those of a fleet do not, so a fleet is at least as efficient.
"""

import asyncio
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import asyncpg
import msgspec

from tests.support.acceptance.client import Client
from tests.support.acceptance.long_audio import write_long_audio
from tests.support.stack.launched import Launched

HOUR_S = 3600.0
CHUNK_S = 60.0
CHUNKS = round(HOUR_S / CHUNK_S)
WITHIN_S = 3600.0
FEW_SLOTS = 8  # this many use 1 % of the machine

# From the dispatch of the chunks to the end of the last. Splitting and joining are one task each for any fleet.
TIMES = """
SELECT extract(epoch FROM max(c.finished_at) - min(c.dispatched_at))::float AS chunks_s,
       avg(extract(epoch FROM c.finished_at - c.started_at))::float AS mean_chunk_s,
       extract(epoch FROM j.completed_at - j.created_at)::float AS whole_s,
       count(*)::int AS chunks
FROM tasks c JOIN jobs j ON j.id = c.job_id WHERE j.id = $1 AND c.kind = 'chunk' GROUP BY j.id
"""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One run, in seconds: all chunks, the mean chunk, and the job from upload to end."""

    slots: int
    chunks: int
    chunks_s: float
    mean_chunk_s: float
    whole_s: float


class Efficiency(msgspec.Struct, frozen=True, kw_only=True):
    """The used fraction of the time of all slots.

    `efficiency` is T(1) / (n T(n)). It has a bound, because 60 chunks leave slots idle in the last round. `of_schedule`
    is relative to the best schedule, in which the longest slot does ceil(60 / n) chunks.
    """

    measured: Measured
    efficiency: float
    bound: float
    of_schedule: float


def efficiencies(runs: Sequence[Measured]) -> list[Efficiency]:
    """The efficiencies of runs; the first run must have one slot."""
    return [_efficiency(runs[0].chunks_s, run) for run in runs]


def _efficiency(alone_s: float, run: Measured) -> Efficiency:
    reached = alone_s / (run.slots * run.chunks_s)
    bound = run.chunks / (run.slots * math.ceil(run.chunks / run.slots))
    return Efficiency(
        measured=run, efficiency=round(reached, 3), bound=round(bound, 3), of_schedule=round(reached / bound, 3)
    )


def measure(slots: Sequence[int], chunk_takes_s: float) -> list[Measured]:
    """One run per number of slots, each on a separate stack. Runs with few slots are concurrent: they mostly wait."""
    if not slots:
        return []
    with tempfile.TemporaryDirectory(prefix="headrace-benchmark-") as folder:
        audio = Path(folder) / "hour.flac"
        write_long_audio(audio, duration_s=HOUR_S)
        return asyncio.run(_measure_all(audio, slots, chunk_takes_s, Path(folder)))


async def _measure_all(audio: Path, slots: Sequence[int], chunk_takes_s: float, folder: Path) -> list[Measured]:
    runs = {number: _measure(audio, number, chunk_takes_s, folder / str(number)) for number in slots}
    few = [runs.pop(number) for number in slots if number <= FEW_SLOTS]
    found = await asyncio.gather(*few)
    return sorted([*found, *[await run for run in runs.values()]], key=lambda one: one.slots)


async def _measure(audio: Path, slots: int, chunk_takes_s: float, folder: Path) -> Measured:
    environ = {
        "PROCESSORS": "1",
        "HEADRACE_TRANSCRIBER": "scripted",
        "HEADRACE_SLOTS": str(slots),
        "HEADRACE_CHUNK_S": str(CHUNK_S),
        "HEADRACE_CHUNK_THRESHOLD_S": str(CHUNK_S),
    }
    async with (stack := Launched(folder, environ=environ)).ready():
        async with aiohttp.ClientSession(stack.url, timeout=aiohttp.ClientTimeout(total=None)) as http:
            await _run_job(Client(http), audio, None)  # warms every slot
            job_id = await _run_job(Client(http), audio, f"SLOW {chunk_takes_s}")
        database = await asyncpg.connect(stack.settings()["HEADRACE_DATABASE_URL"])
        try:
            found = dict(await database.fetchrow(TIMES, job_id))
        finally:
            await database.close()
    assert found["chunks"] == CHUNKS, found
    return Measured(slots=slots, **{name: round(value, 3) for name, value in found.items()})


async def _run_job(client: Client, audio: Path, prompt: str | None) -> str:
    options = {"prompt": prompt} if prompt else {}
    job_id = await client.submit(audio, denoise=False, **options)
    job = await client.ended(job_id, within_s=WITHIN_S)
    assert job["status"] == "COMPLETED", job
    return job_id


def table(rows: Sequence[Efficiency]) -> str:
    """The table as text."""
    head = "slots  chunks s  chunk s    upload to COMPLETED s  efficiency    bound  of the best schedule"
    return "\n".join([head, *map(_row, rows)])


def _row(row: Efficiency) -> str:
    run = row.measured
    return (
        f"{run.slots:5}  {run.chunks_s:8.1f}  {run.mean_chunk_s:9.2f}  {run.whole_s:21.1f}  {row.efficiency:10.3f}  "
        f"{row.bound:7.3f}  {row.of_schedule:20.3f}"
    )
