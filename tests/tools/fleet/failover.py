"""The primary's host loses power under load, and its replica is promoted, as an orchestrator does. Run it last.

Commits wait for the replica. No connection is refused or reset: the services must detect the loss themselves.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tests.support.connections.replica import execute, streams, wait_for_replica
from tests.support.ingest.tus_client import Tus
from tests.tools.chaos.load import Attempt
from tests.tools.chaos.waiting import until
from tests.tools.fleet.fleet import PROCESSORS, REPLICA
from tests.tools.fleet.settings import SLOTS
from tests.tools.fleet.trial import Trial, now

STREAMS_WITHIN_S = 30.0
BUSY_WITHIN_S = 60.0
PACE_S = 0.5  # between two uploads
DETECTED_AFTER_S = 3.0  # an orchestrator must not promote at the first sign
AGAIN_WITHIN_S = 20.0  # statements time out after 5 s, on a machine that many hosts share
CLAIMS_WITHIN_S = 60.0
GIVEN_UP_WITHIN_S = 60.0
OPEN_UPLOADS = "SELECT id FROM uploads WHERE completed_at IS NULL AND ended_at IS NULL"


async def failover(trial: Trial) -> None:
    """The primary of the database dies, and its replica takes over: nothing acknowledged is lost."""
    fleet = trial.fleet
    trial.calls_allowed_again += SLOTS * len(PROCESSORS)
    await trial.processors_up()
    await until(lambda: streams(fleet.postgres), within_s=STREAMS_WITHIN_S)
    await wait_for_replica(fleet.postgres)
    async with trial.feeding(), _uploading(trial):
        started_at = now()
        await until(lambda: trial.claims(started_at), within_s=BUSY_WITHIN_S)
        await fleet.network.unplug(fleet.hosts["postgres"])
        await fleet.postgres.kill()
        dead_at = now()
        await asyncio.sleep(DETECTED_AFTER_S)
        await execute(fleet.replica.url, "SELECT pg_promote()")
        promoted_at = now()
        await fleet.ask_replica()
        await until(lambda: _accepted_since(trial, promoted_at), within_s=BUSY_WITHIN_S)
        again_s = min(one.answered_at for one in _accepted_since(trial, promoted_at)) - promoted_at
        back_s = [await trial.first_claim_s(one, promoted_at, within_s=CLAIMS_WITHIN_S) for one in fleet.processors]
    await until(lambda: _is_given_up(trial), within_s=GIVEN_UP_WITHIN_S)
    meanwhile = [one for one in trial.load.attempts if dead_at <= one.sent_at <= promoted_at + again_s]
    trial.figures |= {
        "promoted_after_s": round(promoted_at - dead_at, 1),
        "uploads_accepted_after_s": round(again_s, 1),
        "processors_back_after_s": [round(seconds, 1) for seconds in back_s],
        "uploads_meanwhile": f"{len(meanwhile)}: {','.join(sorted({str(one.status) for one in meanwhile}))}",
        "jobs": len(trial.load.accepted),
    }
    trial.expect(fleet.hosts[REPLICA].address in fleet.record.url, "the checker asked the old primary")
    trial.hold("the time from the promotion until an upload was accepted (s)", again_s, AGAIN_WITHIN_S)


@contextlib.asynccontextmanager
async def _uploading(trial: Trial) -> AsyncIterator[None]:
    """Upload short files at a steady pace during a block, whatever the answers are. At its end, wait for them."""
    stop = asyncio.Event()
    uploading = asyncio.create_task(_upload_steadily(trial, stop))
    try:
        yield
    finally:
        stop.set()
        await uploading


async def _upload_steadily(trial: Trial, stop: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as group:
        while not stop.is_set():
            group.create_task(trial.load.attempt(trial.fleet.short))
            await asyncio.sleep(PACE_S)


async def _is_given_up(trial: Trial) -> bool:
    """Terminate what clients gave up: a resumable upload waits for the lease of a request that the outage broke."""
    tus = Tus(trial.fleet.http, trial.fleet.url)
    left = await trial.fleet.record.fetch(OPEN_UPLOADS)
    for upload in left:
        await tus.request("DELETE", f"/v1/uploads/{upload['id']}")
    return not left


def _accepted_since(trial: Trial, moment: float) -> list[Attempt]:
    return [one for one in trial.load.accepted if one.answered_at >= moment]
