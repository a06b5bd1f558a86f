"""Powers off an ingest host during uploads: resumable ones continue at the other host, plain ones leave no data."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from shared.blobs import blob_keys
from tests.support.ingest.tus_client import Tus, metadata
from tests.tools.chaos.waiting import became_true, until
from tests.tools.fleet.gather import keys
from tests.tools.fleet.slow_uploads import ACKNOWLEDGED_BYTES, Sent, send_plainly, send_resumably, upload
from tests.tools.fleet.trial import Trial, now

EACH = 4  # resumable and plain uploads; half of each kind per ingest
RESUMABLE_BYTES, PLAIN_BYTES = 3 << 20, 16 << 20  # large enough for a multipart upload to the bucket
DIES_AT = 0.7  # share of an upload
GONE_WITHIN_S = 30.0
SESSIONS_OF = "SELECT count(*) FROM pg_stat_activity WHERE client_addr = $1::text::inet"
JOB_OF = "SELECT count(*) FROM jobs WHERE source_sha256 = $1"


async def dying_ingest(trial: Trial) -> None:
    """A client aborts an upload; then a host loses power and restarts."""
    await trial.processors_up()
    await _break_off(trial)
    resumable = [upload(trial, RESUMABLE_BYTES) for _ in range(EACH)]
    plain = [upload(trial, PLAIN_BYTES) for _ in range(EACH)]
    tus = Tus(trial.fleet.http, trial.fleet.url)
    paths = [await tus.created(len(one.data), Upload_Metadata=metadata(denoise="false")) for one in resumable]
    async with asyncio.TaskGroup() as group:
        for one, path in zip(resumable, paths, strict=True):
            group.create_task(send_resumably(tus, path, one))
        for one in plain:
            group.create_task(send_plainly(trial, one))
        await until(lambda: all(one.share >= DIES_AT for one in (*resumable, *plain)), within_s=60)
        await _lose_power(trial)
    await _figures(trial, resumable, plain)
    await _power_up(trial)
    trial.load.attempts += [one.attempt for one in (*resumable, *plain)]
    await trial.ended(trial.load.accepted)


async def _lose_power(trial: Trial) -> None:
    """Unplug the cable first, so that no peer sees the connections close."""
    ingest = trial.fleet.ingests[0]
    await trial.fleet.network.unplug(trial.fleet.hosts[ingest.name])
    trial.struck.add(ingest.life.who)
    await ingest.fall()


async def _power_up(trial: Trial) -> None:
    ingest = trial.fleet.ingests[0]
    await trial.fleet.network.plug(trial.fleet.hosts[ingest.name])
    began_at = now()
    await ingest.start()
    await ingest.until_ready()
    trial.figures["up_again_after_s"] = round(now() - began_at, 1)


async def _break_off(trial: Trial) -> None:
    """Abort a plain upload of which parts are in the bucket."""
    fleet, one = trial.fleet, upload(trial, PLAIN_BYTES)
    sending = asyncio.create_task(send_plainly(trial, one))
    await until(lambda: one.share >= DIES_AT, within_s=60)
    were_parts = len(await fleet.bucket.uploads())
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    left = [not await became_true(lambda: _none(fleet.bucket.uploads), within_s=GONE_WITHIN_S)]
    recorded = await fleet.record.value(JOB_OF, one.attempt.sha256)
    trial.figures["broken_off_by_its_client"] = {"multipart_uploads_before": were_parts, "left": sum(left) + recorded}
    trial.expect(were_parts, "the bucket held no part when the client disconnected")
    trial.expect(not any(left) and not recorded, "an aborted upload left data behind")


async def _none(listed: Callable[[], Awaitable[Sequence[str]]]) -> bool:
    return not await listed()


async def _figures(trial: Trial, resumable: list[Sent], plain: list[Sent]) -> None:
    fleet = trial.fleet
    host = fleet.hosts[fleet.ingests[0].name]
    broken, resumed = [[one for one in kind if one.broke_at] for kind in (plain, resumable)]
    recorded = sum([await fleet.record.value(JOB_OF, one.attempt.sha256) for one in broken])
    trial.figures |= {
        "resumable": {
            "uploads": len(resumable),
            "broken": len(resumed),
            "became_jobs": sum(one.attempt.status == 202 for one in resumable),
            "kept_share": [round((one.kept_bytes or 0) / len(one.data), 2) for one in resumed],
            "resumed_after_s": [round((one.resumed_at or 0) - (one.broke_at or 0), 1) for one in resumed],
        },
        "sessions_that_postgres_keeps_of_it": await fleet.record.value(SESSIONS_OF, host.address),
        "plain": {
            "uploads": len(plain),
            "broken": len(broken),
            "became_jobs": sum(one.attempt.status == 202 for one in plain),
            "broken_and_recorded": recorded,
            "multipart_left_to_the_bucket": len(await fleet.bucket.uploads()),
        },
    }
    trial.expect(broken and resumed, "no upload broke when its ingest died")
    trial.expect(len(broken) < len(plain), "all plain uploads broke, including those at the other ingest")
    trial.expect(all(one.attempt.status == 202 for one in resumable), "a resumable upload did not become a job")
    kept = all((one.kept_bytes or 0) >= ACKNOWLEDGED_BYTES for one in resumed)
    trial.expect(kept, "acknowledged bytes had to be sent again")
    trial.expect(not recorded, "a broken plain upload has a job in the database")
    rows = {row["id"] for row in await fleet.record.fetch("SELECT id FROM jobs")}
    orphaned = {job for key in await keys(fleet, blob_keys.ALL_JOBS) if (job := blob_keys.job_of(key)) not in rows}
    trial.expect(not orphaned, f"orphaned blobs of {len(orphaned)} jobs are left")
