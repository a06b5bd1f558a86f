"""A processor whose link to one of the servers is cut for a while, and whole again, while jobs come in.

Its packets vanish: no connection is refused or reset, and it must find out by itself.
"""

import asyncio
import signal

from shared.schemas.states import TaskState
from tests.chaos.gather import changes
from tests.chaos.timings import percentile, recoveries_s
from tests.chaos.waiting import came_about, until
from tests.fleet.hold_lock import LOCK
from tests.fleet.programs import holder_of_a_lock
from tests.fleet.servers import ended
from tests.fleet.settings import LEASE_S, SLOTS
from tests.fleet.trial import Scenario, Trial, now

CUT_S = 12.0
BUSY_WITHIN_S = 60.0
RESCUE_SLACK_S = 6.0
LOCK_GONE_WITHIN_S = 20.0
LOCK_HELD = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = $1::bigint::oid"
PATIENCE = 2.0  # many hosts share the cores of one machine
BACK_WITHIN_S = 60.0  # TCP sends again ever more seldom: up to twice the cut


async def cut_redis(trial: Trial) -> None:
    """Without the bell a processor ends what it has, and the others take the rest."""
    await _cut(trial, "redis")


async def cut_postgres(trial: Trial) -> None:
    """Without the record a processor loses its tasks to the others, and may write nothing when it is back."""
    trial.calls_allowed_again += SLOTS
    fleet = trial.fleet
    holder = await holder_of_a_lock(fleet.hosts[fleet.processors[0].name], fleet.database_url)
    try:
        taken_over_s = await _cut(trial, "postgres", _lock_is_gone)
    finally:
        await ended(holder, signal.SIGKILL)
    trial.figures["taken_over_max_s"] = percentile(taken_over_s, 1.0)
    limit_s = (LEASE_S + RESCUE_SLACK_S) * PATIENCE
    trial.hold("the time until its tasks were others' (s)", percentile(taken_over_s, 1.0), limit_s)


async def cut_bucket(trial: Trial) -> None:
    """Without the bytes a processor fails at its tasks, and they wait for their next attempt elsewhere."""
    began_at = now()
    await _cut(trial, "bucket")
    failed = [
        change
        for change in await changes(trial.fleet)
        if change.at.timestamp() >= began_at and change.state == TaskState.WAITING and change.old_state != change.state
    ]
    trial.figures["attempts_failed"] = len(failed)
    trial.calls_allowed_again += len(failed)


async def _lock_is_gone(trial: Trial) -> None:
    """Postgres must notice that a client is gone which says nothing: what it has locked is others' to do."""
    began_at = now()
    await came_about(lambda: _none_holds(trial), within_s=LOCK_GONE_WITHIN_S)
    gone_after_s = now() - began_at
    trial.figures["its_locks_gone_after_s"] = round(gone_after_s, 1)
    trial.hold("the time until a lock that it held was free (s)", gone_after_s, LOCK_GONE_WITHIN_S)


async def _none_holds(trial: Trial) -> bool:
    return not await trial.fleet.record.value(LOCK_HELD, LOCK)


async def _nothing(_: Trial) -> None:
    """Nothing is looked at while the link is cut."""


async def _cut(trial: Trial, server: str, meanwhile: Scenario = _nothing) -> list[float]:
    """Cut the first processor's link to a server; how long each of its tasks took to be somebody's again, or over."""
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
    trial.expect(victim.life is life, f"{victim.name} ended because of the cut")
    trial.expect(all(one.status == 202 for one in sent), "an upload was refused because of a processor's link")
    trial.expect(len(claims) > by_it, "the others took nothing meanwhile")
    return recoveries_s(await changes(fleet), life.who, cut_at)


async def _claimed(trial: Trial, name: str, since: float) -> bool:
    return any((claim.who or "").startswith(f"{name}.") for claim in await trial.claims(since))
