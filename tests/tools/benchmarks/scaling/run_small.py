"""Small real runs with the scripted transcriber: they measure how long tasks hold a slot, and check the simulation.

Each run has a separate stack. The slots share the machine's cores, so the transcriber sleeps instead of computing.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import fmean

import aiohttp
import asyncpg
import msgspec

from shared.queue.task_costs import cost_s
from shared.schemas.states import TaskKind
from tests.support.acceptance.client import Client
from tests.support.acceptance.long_audio import write_long_audio
from tests.support.clips import JFK
from tests.support.stack.launched import Launched
from tests.tools.benchmarks.scaling.fleet import Fleet, Report
from tests.tools.benchmarks.scaling.measured import SlotTimes, SmallRun
from tests.tools.benchmarks.scaling.simulation import Simulation
from tests.tools.benchmarks.scaling.workload import SimulatedJob

CHUNK_S, LONG_S = 20.0, 200.0  # short, so that decoding takes little time compared with the transcriber's sleep
WITHIN_S = 600.0

JOBS = """
SELECT j.id::text, j.tenant, j.source_bytes, j.container, j.chunk_count,
       extract(epoch FROM j.created_at)::float AS created_s, extract(epoch FROM j.started_at)::float AS started_s,
       extract(epoch FROM j.completed_at)::float AS completed_s
FROM jobs j WHERE j.id = ANY($1::uuid[]) ORDER BY j.created_at
"""
TASKS = """
SELECT job_id::text, kind, extract(epoch FROM finished_at - started_at)::float AS held_s
FROM tasks WHERE job_id = ANY($1::uuid[]) AND state = 'done'
"""


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """One upload. `takes_s`: the transcriber's time for the file or for each of its chunks."""

    at_s: float
    is_long: bool
    takes_s: float
    tenant: str = "one"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The processors and uploads of a run."""

    name: str
    processors: int
    slots: int
    uploads: tuple[Upload, ...]


def _short(at_s: float, takes_s: float, tenant: str = "one") -> Upload:
    return Upload(at_s=at_s, is_long=False, takes_s=takes_s, tenant=tenant)


def _long(at_s: float, takes_s: float, tenant: str = "one") -> Upload:
    return Upload(at_s=at_s, is_long=True, takes_s=takes_s, tenant=tenant)


PLANS = (
    Plan(name="24 short files at once", processors=1, slots=2, uploads=(_short(0, 3.0),) * 24),
    Plan(
        name="two long files apart, short ones between",
        processors=1,
        slots=4,
        uploads=(_long(0, 4.0), _long(9.0, 4.0), *(_short(8.0 + 2 * number, 3.0) for number in range(8))),
    ),
    Plan(name="two long files at once", processors=1, slots=4, uploads=(_long(0, 4.0),) * 2),
    Plan(
        name="a tenant's 30 files, and another's three",
        processors=2,
        slots=2,
        uploads=(*((_short(0, 3.0, "many"),) * 30), *((_short(6.0, 3.0, "few"),) * 3)),
    ),
)


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """A job of a run, from the database. Times are Unix seconds."""

    upload: Upload
    source_bytes: int
    container: str
    chunk_count: int
    created_s: float
    started_s: float
    completed_s: float
    held_s: dict[str, list[float]]  # by kind of task: seconds from claim to end


def run_small(plans: Sequence[Plan] = PLANS) -> tuple[SlotTimes, list[SmallRun]]:
    """Measure the slot times on files that run alone; then run and simulate each plan."""
    with tempfile.TemporaryDirectory(prefix="headrace-scaling-") as folder:
        audio = Path(folder) / "long.flac"
        write_long_audio(audio, duration_s=LONG_S)
        alone = Plan(name="alone", processors=1, slots=1, uploads=(_short(0, 0.0), _short(3, 0.0), _long(6, 0.0)))
        times = slot_times(asyncio.run(_run(alone, audio, Path(folder) / "alone")))
        runs = []
        for number, plan in enumerate(plans):
            done = asyncio.run(_run(plan, audio, Path(folder) / str(number)))
            runs.append(compare(plan, done, simulate(plan, done, times)))
    return times, runs


def slot_times(done: Sequence[Done]) -> SlotTimes:
    """Return the slot times from a run in which the transcriber takes no time."""
    held: dict[str, list[float]] = {"whole": []}
    for one in done:
        if one.chunk_count > 1:
            held |= one.held_s
        else:
            held["whole"] += one.held_s[TaskKind.PREPARE]
    return SlotTimes(
        whole_s=round(fmean(held["whole"]), 3),
        prepare_s=round(fmean(held[TaskKind.PREPARE]), 3),
        prepare_s_per_audio_s=round(fmean(held[TaskKind.PREPARE]) / LONG_S, 6),
        chunk_s=round(fmean(held[TaskKind.CHUNK]), 3),
        finish_s=round(fmean(held[TaskKind.FINISH]), 3),
    )


def simulate(plan: Plan, done: Sequence[Done], times: SlotTimes) -> Report:
    """Simulate the same uploads with their real arrival times."""
    first_s = done[0].created_s
    jobs = [_simulated(number, one, times, first_s) for number, one in enumerate(done)]
    return Simulation(Fleet(processors=plan.processors, slots=plan.slots)).run(jobs)


def _simulated(number: int, done: Done, times: SlotTimes, first_s: float) -> SimulatedJob:
    is_long, takes_s = done.upload.is_long, done.upload.takes_s
    cost = cost_s(TaskKind.PREPARE, source_bytes=done.source_bytes, container=done.container)
    return SimulatedJob(
        number=number,
        at_s=done.created_s - first_s,
        prepare_s=times.prepare_s if is_long else times.whole_s,
        chunks_s=(times.chunk_s + takes_s,) * done.chunk_count if is_long else (takes_s,),
        finish_s=times.finish_s if is_long else 0.0,
        cost_s=cost,
        tenant=done.upload.tenant,
    )


def compare(plan: Plan, done: Sequence[Done], report: Report) -> SmallRun:
    return SmallRun(
        name=plan.name,
        processors=plan.processors,
        slots=plan.slots,
        jobs=len(done),
        tasks=report.tasks,
        measured_makespan_s=round(max(one.completed_s for one in done) - done[0].created_s, 2),
        simulated_makespan_s=round(report.makespan_s, 2),
        measured_wait_s=round(fmean(one.started_s - one.created_s for one in done), 2),
        simulated_wait_s=round(fmean(one.waited_s for one in report.jobs), 2),
        measured_took_s=round(fmean(one.completed_s - one.created_s for one in done), 2),
        simulated_took_s=round(fmean(one.took_s for one in report.jobs), 2),
    )


async def _run(plan: Plan, audio: Path, folder: Path) -> list[Done]:
    environ = {
        "PROCESSORS": str(plan.processors),
        "HEADRACE_AUTH": "required",
        "HEADRACE_TRANSCRIBER": "scripted",
        "HEADRACE_SLOTS": str(plan.slots),
        "HEADRACE_CHUNK_S": str(CHUNK_S),
        "HEADRACE_CHUNK_THRESHOLD_S": str(CHUNK_S),
    }
    async with (stack := Launched(folder, environ=environ)).ready():
        database_url = stack.settings()["HEADRACE_DATABASE_URL"]
        tenants = sorted({one.tenant for one in plan.uploads})
        async with _clients(stack.url, {tenant: _key(database_url, tenant) for tenant in tenants}) as clients:
            await _warm_up(clients[tenants[0]], audio, plan.processors * plan.slots)
            began_s = time.monotonic()
            ids = await asyncio.gather(*(_submit(clients, one, audio, began_s) for one in plan.uploads))
            for job_id, upload in zip(ids, plan.uploads, strict=True):
                job = await clients[upload.tenant].ended(job_id, within_s=WITHIN_S)
                assert job["status"] == "COMPLETED", job
        return await _read(database_url, dict(zip(ids, plan.uploads, strict=True)))


def _key(database_url: str, tenant: str) -> str:
    command = [sys.executable, "-m", "ingest_service.auth", "create", "--tenant", tenant, "--scopes", "submit,read"]
    environ = {"HEADRACE_DATABASE_URL": database_url}
    made = subprocess.run(
        command, env=environ, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    return made.stdout.strip()


@asynccontextmanager
async def _clients(url: str, keys: dict[str, str]) -> AsyncIterator[dict[str, Client]]:
    timeout = aiohttp.ClientTimeout(total=None)
    sessions = {
        tenant: aiohttp.ClientSession(url, timeout=timeout, headers={"X-API-Key": key}) for tenant, key in keys.items()
    }
    try:
        yield {tenant: Client(session) for tenant, session in sessions.items()}
    finally:
        for session in sessions.values():
            await session.close()


async def _warm_up(client: Client, audio: Path, slots: int) -> None:
    """Process one file of each kind per slot: a slot's first file is slower, the first long one by seconds."""
    for path in (audio, JFK.path):
        ids = await asyncio.gather(*(client.submit(path, denoise=False) for _ in range(slots)))
        for job_id in ids:
            await client.ended(job_id, within_s=WITHIN_S)


async def _submit(clients: dict[str, Client], upload: Upload, audio: Path, began_s: float) -> str:
    await asyncio.sleep(max(0.0, began_s + upload.at_s - time.monotonic()))
    path = audio if upload.is_long else JFK.path
    return await clients[upload.tenant].submit(path, denoise=False, prompt=f"SLOW {upload.takes_s}")


async def _read(database_url: str, uploads: dict[str, Upload]) -> list[Done]:
    connection = await asyncpg.connect(database_url)
    try:
        jobs = await connection.fetch(JOBS, list(uploads))
        tasks = await connection.fetch(TASKS, list(uploads))
    finally:
        await connection.close()
    held: dict[str, dict[str, list[float]]] = {job_id: {} for job_id in uploads}
    for task in tasks:
        held[task["job_id"]].setdefault(task["kind"], []).append(task["held_s"])
    return [_done(dict(job), uploads, held) for job in jobs]


def _done(job: dict[str, object], uploads: dict[str, Upload], held: dict[str, dict[str, list[float]]]) -> Done:
    job_id = str(job["id"])
    names = ("source_bytes", "container", "chunk_count", "created_s", "started_s", "completed_s")
    return msgspec.convert(
        {**{name: job[name] for name in names}, "upload": uploads[job_id], "held_s": held[job_id]}, Done
    )


if __name__ == "__main__":
    print(run_small())
