"""Runs that break Redis and Postgres: flush, kill, freeze, disconnect."""

import asyncio
import contextlib
import datetime as dt
import time
from collections.abc import AsyncIterator

from shared.queue.dispatch import ARQ_JOB_KEY_PREFIX
from tests.tools.chaos.load import Attempt
from tests.tools.chaos.proxy import COMMIT, SCRIPT, Proxy
from tests.tools.chaos.record import ROLE
from tests.tools.chaos.run import Run
from tests.tools.chaos.timings import percentile, redispatches_s
from tests.tools.chaos.waiting import became_true, until

REDISPATCH_WITHIN_S = 10.0
POLLING_WITHIN_S = 5.0
RECOVERY_WITHIN_S = 10.0
UPLOAD_EVERY_S = 0.2
CUT_CHANCE = 0.3
CUTS_WITHIN_S = 120.0
CLAIM_SINCE = "SELECT min(at) FROM chaos_audit WHERE state = 'running' AND at > $1"
TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1"


async def c5_flush_redis(run: Run) -> None:
    """Run FLUSHALL at random times."""
    async with run.feeding():
        for _ in range(run.profile.flushes):
            await asyncio.sleep(run.rng.uniform(0.5, 2.5))
            run.fault("FLUSHALL")
            await run.world.redis.flushall()
    await run.judge()
    await _hold_redispatch(run)


async def c6_break_redis(run: Run) -> None:
    """Kill Redis, freeze it, and cut its connections at scripts."""
    valkey = run.world.valkey
    async with run.feeding():
        for down_s in run.profile.redis_down_s:
            async with _outage(run, "redis down"):
                await valkey.kill()
                await asyncio.sleep(down_s)
                await valkey.start()
            await _hold_polling(run, f"after {down_s:.0f} s without Redis")
        async with _outage(run, "redis frozen"):
            valkey.freeze()
            await asyncio.sleep(run.profile.redis_frozen_s)
            valkey.thaw()
        await _hold_polling(run, "after Redis was frozen")
        run.figures["cuts_at_scripts"] = await _cut(run, run.world.redis_proxy, SCRIPT)
    run.expect(
        all(one.status == 202 for one in run.load.attempts), "an upload was rejected while Redis was unavailable"
    )
    await run.judge()


async def c7_break_postgres(run: Run) -> None:
    """Restart, kill and freeze Postgres, end its sessions, exhaust its connections, and cut them at COMMIT."""
    postgres, record = run.world.postgres, run.world.record
    async with run.feeding():
        async with _database_outage(run, "restart"):
            await postgres.stop()
            await asyncio.sleep(1)
            await postgres.start()
        async with _database_outage(run, "kill"):
            await postgres.kill()
            await postgres.start()
        async with _database_outage(run, "frozen"):
            postgres.freeze()
            await asyncio.sleep(run.profile.postgres_frozen_s)
            postgres.thaw()
        async with _database_outage(run, "sessions ended"):
            await record.fetch(TERMINATE, ROLE)
        async with _database_outage(run, "no connections"):
            await record.fetch(f"ALTER ROLE {ROLE} CONNECTION LIMIT 0")
            await record.fetch(TERMINATE, ROLE)
            await asyncio.sleep(2)
            await record.fetch(f"ALTER ROLE {ROLE} CONNECTION LIMIT -1")
        run.fault("cuts at COMMIT", costs=_all_slots(run) * run.profile.cuts)
        run.figures["cuts_at_commit"] = await _cut(run, run.world.postgres_proxy, COMMIT)
    _expect_503_with_retry_after(run)
    await run.judge()


async def c16_expired_payloads(run: Run) -> None:
    """The payloads of a backlog expire in Redis."""
    slow = f"SLOW {run.profile.slow_chunk_s}"  # the uploads are faster than the workers, however slow the machine is
    backlog = await run.load.jobs(run.world.short, run.profile.backlog, webhook=None, prompt=slow)
    await became_true(lambda: _expire_payloads(run), within_s=run.profile.settled_within_s)
    run.fault("payloads expired")
    run.figures["backlog"] = len(backlog)
    run.expect(run.figures["payloads_expired"], "no payload could be expired")
    await run.judge()


async def _expire_payloads(run: Run) -> int:
    """Delete the payloads of the tasks that wait. Return their number: none if C5 has just deleted all."""
    keys = [key async for key in run.world.redis.scan_iter(f"{ARQ_JOB_KEY_PREFIX}*")]
    gone = int(await run.world.redis.delete(*keys)) if keys else 0
    run.figures["payloads_expired"] = gone
    return gone


async def _hold_redispatch(run: Run) -> None:
    changes = await run.changes()
    times = [seconds for fault in run.faults for seconds in redispatches_s(changes, fault.at)]
    run.figures |= {"tasks_forgotten": len(times), "redispatch_max_s": percentile(times, 1.0)}
    run.expect(times, "no task was queued at FLUSHALL: nothing was tested")
    run.hold_s("re-dispatch after FLUSHALL", percentile(times, 1.0), REDISPATCH_WITHIN_S)


@contextlib.asynccontextmanager
async def _outage(run: Run, kind: str, *, costs: int = 0) -> AsyncIterator[None]:
    """Upload continuously during an outage, and note the statuses."""
    over = asyncio.Event()
    run.fault(kind, costs=costs)
    uploads = asyncio.create_task(_upload_until(run, over))
    try:
        yield
    finally:
        over.set()
        sent = await uploads
        statuses = sorted({str(one.status) for one in sent})
        run.figures[f"{kind}_uploads"] = f"{len(sent)}: {','.join(statuses)}"


async def _upload_until(run: Run, over: asyncio.Event) -> list[Attempt]:
    async with asyncio.TaskGroup() as group:
        sent = []
        while not over.is_set():
            sent.append(group.create_task(run.upload_short()))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), UPLOAD_EVERY_S)
    return [one.result() for one in sent]


async def _hold_polling(run: Run, when: str) -> None:
    """Expect that workers claim tasks from the backlog again within the limit."""
    run.hold_s(f"time to the first claim {when}", await _first_claim_s(run), POLLING_WITHIN_S)


async def _first_claim_s(run: Run) -> float:
    """Return the seconds until the next claim by any worker."""
    began = dt.datetime.now(dt.UTC)
    await became_true(lambda: run.world.record.value(CLAIM_SINCE, began), within_s=run.profile.settled_within_s)
    claimed_at = await run.world.record.value(CLAIM_SINCE, began)
    return float(((claimed_at or dt.datetime.now(dt.UTC)) - began).total_seconds())


async def _cut(run: Run, proxy: Proxy, command: bytes) -> int:
    """Cut connections at a command as often as the profile says. Return the number of cuts."""
    cuts = proxy.cut_at(command, run.profile.cuts, CUT_CHANCE, run.rng)
    await became_true(lambda: not cuts.left, within_s=CUTS_WITHIN_S)
    run.expect(not cuts.left, f"{cuts.left} cuts were not used within {CUTS_WITHIN_S:.0f} s")
    return cuts.done


@contextlib.asynccontextmanager
async def _database_outage(run: Run, kind: str) -> AsyncIterator[None]:
    """Cause an outage, then expect that uploads are accepted and tasks are claimed again."""
    async with _outage(run, kind, costs=_all_slots(run)):
        yield
    began = time.monotonic()
    await until(lambda: _is_accepted(run), within_s=run.profile.quiet_within_s)
    run.hold_s(f"time to the first upload after {kind}", time.monotonic() - began, RECOVERY_WITHIN_S)
    run.hold_s(f"time to the first claim after {kind}", await _first_claim_s(run), RECOVERY_WITHIN_S)


async def _is_accepted(run: Run) -> bool:
    return (await run.upload_short()).status == 202


def _all_slots(run: Run) -> int:
    return run.profile.slots * len(run.world.workers)


def _expect_503_with_retry_after(run: Run) -> None:
    """Expect that rejected uploads got 503 with Retry-After, or no answer."""
    refused = [one for one in run.load.attempts if one.status not in (202, None)]
    run.figures["refused"] = len(refused)
    run.expect(
        all(one.status == 503 for one in refused),
        f"rejected with {sorted({one.status or 0 for one in refused})}, expected 503",
    )
    run.expect(all(one.retry_after for one in refused), "a 503 has no Retry-After")
