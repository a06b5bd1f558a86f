"""Runs that break workers: kill, freeze, restart, limit memory, set a wrong clock."""

import asyncio
import resource
import signal
import time
from collections import Counter
from pathlib import Path

from shared.queue.dispatch import COMPUTE_QUEUE
from shared.queue.fair_shares import MAX_SCORE, MIN_SCORE
from shared.schemas.states import TaskState
from tests.tools.chaos.clock import compiled_clock
from tests.tools.chaos.failpoints import Failpoints
from tests.tools.chaos.run import Run
from tests.tools.chaos.timings import percentile, recoveries_s
from tests.tools.chaos.traffic import Traffic

RESCUE_SLACK_S = 6.0  # added to a lease: heartbeat phase, rescue interval, time to a free slot
TAKEN_WITHIN_S = 30.0
SLOWLY_TAKEN_WITHIN_S = 150.0  # slow jobs: few are uploaded, few fail
BEFORE_AN_OUTCOME = ("chunk.after_put", "results.after_transcript", "deliver.after_send")
HOUR_S = 3600


async def c1_kill_workers(run: Run) -> None:
    """kill -9 a random worker every few seconds while jobs come in."""
    async with run.feeding():
        ends_at = time.monotonic() + run.profile.kill_for_s
        while time.monotonic() < ends_at:
            await asyncio.sleep(run.rng.uniform(*run.profile.kill_every_s))
            victim, *others = run.rng.sample(run.world.workers, len(run.world.workers))
            for other in others:  # another worker must be running: start-up time is not measured here
                await other.until_ready()
            run.strike(victim, signal.SIGKILL)
    await top_up(run)
    await run.judge()
    await hold_recovery(run)


async def c2_kill_at_failpoints(run: Run) -> None:
    """kill -9 the process that reaches a failpoint, for each failpoint."""
    failpoints = Failpoints(run)
    async with run.feeding(Traffic(run, chunk_s=run.profile.slow_chunk_s / 4).upload):
        for name in failpoints.names * run.profile.times_at_each_failpoint:
            await failpoints.order(name, "kill", within_s=TAKEN_WITHIN_S)
    await run.judge()


async def c3_freeze_at_failpoints(run: Run) -> None:
    """SIGSTOP the process that reaches a failpoint for two leases, so that it resumes with a lost lease."""
    failpoints = Failpoints(run)
    names = _drawn(run, failpoints.names)
    # so long that the next worker still runs when the stopped one resumes
    async with run.feeding(Traffic(run, chunk_s=run.profile.lease_s * 0.8).upload):
        for name in names:
            pid = await failpoints.order(name, "stop", within_s=SLOWLY_TAKEN_WITHIN_S)
            await asyncio.sleep(2 * run.profile.lease_s)
            failpoints.resume(pid)
    run.figures["failpoints"] = ",".join(names)
    await run.judge()


def _drawn(run: Run, names: list[str]) -> list[str]:
    """Draw failpoints, always including one after which a stale worker would write its outcome."""
    first = run.rng.choice(BEFORE_AN_OUTCOME)
    rest = run.rng.sample([name for name in names if name != first], len(names) - 1)
    return [first, *rest][: run.profile.stopped_failpoints]


async def c4_rolling_restarts(run: Run) -> None:
    """SIGTERM one worker after the other: no attempt is lost."""
    async with run.feeding():
        for number in range(run.profile.rolling_restarts):
            worker = run.world.workers[number % len(run.world.workers)]
            life = run.strike(worker, signal.SIGTERM)
            await worker.until_ended(life)
            run.expect(life.status == 0, f"{life.who} ended with status {life.status}")
            await worker.until_ready(after=life)
    await run.judge()
    await expect_no_blame(run)


async def c12_run_out_of_memory(run: Run) -> None:
    """Deny a worker more memory, then kill it as the kernel would."""
    async with run.feeding():
        for worker in run.world.workers:
            limit = _virtual_bytes(worker.life.pid)
            resource.prlimit(worker.life.pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
            run.fault("RLIMIT_AS", worker.life.who, costs=run.profile.slots)
            life = worker.life
            await asyncio.sleep(run.profile.lease_s)
            if worker.life is life:
                run.strike(worker, signal.SIGKILL)
            await worker.until_ready(after=life)
    await run.judge()
    await hold_recovery(run)


async def c13_wrong_clocks(run: Run) -> None:
    """Set one worker's clock an hour ahead, the other's and the ingest's an hour behind."""
    library = compiled_clock(run.world.folder)
    if library is None:
        run.figures["skipped"] = "no C compiler"
        return
    wrong = {"LD_PRELOAD": str(library)}
    ahead, behind = run.world.workers
    offsets = {ahead: HOUR_S, behind: -HOUR_S, run.world.ingest: -HOUR_S}
    await run.world.restart_with(
        {service: wrong | {"CHAOS_CLOCK_OFFSET_S": str(hours)} for service, hours in offsets.items()}
    )
    run.fault("clocks")
    async with run.feeding():
        await asyncio.sleep(2 * run.profile.lease_s)
        await _expect_virtual_times(run)
    await run.judge()
    await expect_no_blame(run)
    claims = Counter(change.who for change in await run.changes() if change.state == TaskState.RUNNING)
    for when, worker in (("ahead", ahead), ("behind", behind)):
        run.figures[f"claims_{when}"] = claims[worker.life.who]
        run.expect(claims[worker.life.who], f"the worker whose clock is {when} claimed no task")


async def _expect_virtual_times(run: Run) -> None:
    """Expect virtual times as scores. A score from a wall clock would be above the range."""
    scores = [score for _, score in await run.world.redis.zrange(COMPUTE_QUEUE, 0, -1, withscores=True)]
    off = [score for score in scores if not MIN_SCORE <= score <= MAX_SCORE]
    run.figures["queued_scores"] = len(scores)
    run.expect(not off, f"{len(off)} tasks have a score from a wall clock")


def _virtual_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
    return pages * resource.getpagesize()


async def top_up(run: Run) -> None:
    """Upload until the run has the number of jobs that the profile requires."""
    missing = run.profile.jobs - len(run.load.accepted)
    if missing > 0:
        await run.load.jobs(run.world.long, missing)


async def hold_recovery(run: Run) -> None:
    """Expect that tasks of a killed worker are claimed again within a lease and a few seconds."""
    changes = await run.changes()
    kills = [fault for fault in run.faults if fault.kind == signal.SIGKILL.name]
    times = [seconds for fault in kills for seconds in recoveries_s(changes, fault.who, fault.at)]
    run.figures |= {
        "tasks_orphaned": len(times),
        "recovery_p50_s": percentile(times, 0.5),
        "recovery_p100_s": percentile(times, 1.0),
    }
    run.expect(times, "no worker held a task when it was killed: nothing was tested")
    run.hold_s("orphan recovery p100", percentile(times, 1.0), run.profile.lease_s + RESCUE_SLACK_S)


async def expect_no_blame(run: Run) -> None:
    """Expect no failed attempt and no lost lease."""
    changes = await run.changes()
    run.expect(not any(change.attempts for change in changes), "an attempt was counted as failed")
    run.expect(not any(change.crashes for change in changes), "a crash was counted")
