"""Cuts a processor's link to one server for a while, and restores it, while jobs arrive.

The switch drops packets silently: no connection is refused or reset, so the processor must detect the cut itself.
"""

import asyncio
import signal

from shared.schemas.states import TaskState
from tests.tools.chaos.gather import changes
from tests.tools.chaos.timings import percentile, recoveries_s
from tests.tools.chaos.waiting import became_true, until
from tests.tools.fleet.hold_lock import LOCK
from tests.tools.fleet.programs import start_lock_holder
from tests.tools.fleet.servers import ended
from tests.tools.fleet.settings import LEASE_S, SLOTS
from tests.tools.fleet.trial import Scenario, Trial, now

CUT_S = 12.0
BUSY_WITHIN_S = 60.0
RESCUE_SLACK_S = 6.0
LOCK_GONE_WITHIN_S = 20.0
LOCK_HELD = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = $1::bigint::oid"
SHARED_CPU_FACTOR = 2.0  # many hosts share the cores of one machine
BACK_WITHIN_S = 60.0  # TCP's retransmission interval doubles: up to twice the cut


async def cut_redis(trial: Trial) -> None:
    """Without Redis a processor finishes its tasks; the others take the rest."""
    await _cut(trial, "redis")


async def cut_postgres(trial: Trial) -> None:
    """Without the database a processor loses its leases; after the cut its stale writes are rejected."""
    trial.calls_allowed_again += SLOTS
    fleet = trial.fleet
    holder = await start_lock_holder(fleet.hosts[fleet.processors[0].name], fleet.database_url)
    try:
        taken_over_s = await _cut(trial, "postgres", _wait_for_lock_release)
    finally:
        await ended(holder, signal.SIGKILL)
    trial.figures["taken_over_max_s"] = percentile(taken_over_s, 1.0)
    limit_s = (LEASE_S + RESCUE_SLACK_S) * SHARED_CPU_FACTOR
    trial.hold("the time until other processors claimed its tasks (s)", percentile(taken_over_s, 1.0), limit_s)


async def cut_bucket(trial: Trial) -> None:
    """Without the bucket a processor's attempts fail; other processors retry the tasks."""
    began_at = now()
    await _cut(trial, "bucket")
    failed = [
        change
        for change in await changes(trial.fleet)
        if change.at.timestamp() >= began_at and change.state == TaskState.WAITING and change.old_state != change.state
    ]
    trial.figures["attempts_failed"] = len(failed)
    trial.calls_allowed_again += len(failed)


async def _wait_for_lock_release(trial: Trial) -> None:
    """PostgreSQL must detect that a silent client is gone and release its locks."""
    began_at = now()
    await became_true(lambda: _is_lock_free(trial), within_s=LOCK_GONE_WITHIN_S)
    gone_after_s = now() - began_at
    trial.figures["its_locks_gone_after_s"] = round(gone_after_s, 1)
    trial.hold("the time until a lock that it held was free (s)", gone_after_s, LOCK_GONE_WITHIN_S)


async def _is_lock_free(trial: Trial) -> bool:
    return not await trial.fleet.record.value(LOCK_HELD, LOCK)


async def _nothing(_: Trial) -> None:
    """Do nothing while the link is cut."""


async def _cut(trial: Trial, server: str, meanwhile: Scenario = _nothing) -> list[float]:
    """Cut the first processor's link to a server. Return the seconds until each task was claimed again or ended."""
    fleet, victim = trial.fleet, trial.fleet.processors[0]
    here, there = fleet.hosts[victim.name], fleet.hosts[server]
    await trial.processors_up()
    async with trial.feeding():
        started_at = now()
        await until(lambda: _claimed(trial, victim.name, started_at), within_s=BUSY_WITHIN_S)
        life = victim.life
        await fleet.network.cut(here, there)
        cut_at = now()
        try:
            await asyncio.gather(asyncio.sleep(CUT_S), meanwhile(trial))
        finally:
            await fleet.network.join(here, there)
        whole_at = now()
        back_s = await trial.first_claim_s(victim, whole_at, within_s=BACK_WITHIN_S)
    claims = await trial.claims(cut_at, whole_at)
    by_it = sum(claim.who == life.who for claim in claims)
    sent = [one for one in trial.load.attempts if cut_at <= one.sent_at <= whole_at]
    trial.figures |= {
        "cut_s": round(whole_at - cut_at, 1),
        "uploads_meanwhile": f"{len(sent)}: {','.join(sorted({str(one.status) for one in sent}))}",
        "tasks_taken_meanwhile": {"by_it": by_it, "by_others": len(claims) - by_it},
        "back_at_work_after_s": round(back_s, 1),
        "jobs": len(trial.load.accepted),
    }
    trial.struck.add(life.who)
    trial.expect(victim.life is life, f"{victim.name} exited because of the cut")
    trial.expect(all(one.status == 202 for one in sent), "an upload was rejected while a processor's link was cut")
    trial.expect(len(claims) > by_it, "the other processors claimed no task during the cut")
    return recoveries_s(await changes(fleet), life.who, cut_at)


async def _claimed(trial: Trial, name: str, since: float) -> bool:
    return any((claim.who or "").startswith(f"{name}.") for claim in await trial.claims(since))
