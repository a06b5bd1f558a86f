"""An ingest host that loses its power in the middle of uploads: some are gone on with elsewhere, some leave nothing."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from uuid import UUID

import aiohttp

from shared import blob_keys
from tests.chaos.load import Attempt
from tests.chaos.sounds import marked, padded
from tests.chaos.waiting import came_about, until
from tests.fleet.gather import keys
from tests.fleet.trial import Trial, now
from tests.ingest.tus import Tus, metadata

EACH = 4  # resumable uploads and plain ones, half of them at each ingest
RESUMABLE_BYTES, PLAIN_BYTES = 3 << 20, 16 << 20  # a plain one of so much is stored in parts, too
ACKNOWLEDGED_BYTES = 1 << 20  # of a resumable one, in a request before that which breaks
STEPS, STEP_S = 80, 0.08  # how an upload is sent
DIES_AT = 0.7  # of it
RESUMED_WITHIN_S = 60.0
WAIT_S = 0.5
GONE_WITHIN_S = 30.0
JOB_OF = "SELECT count(*) FROM jobs WHERE source_sha256 = $1"
BROKEN = (aiohttp.ClientError, TimeoutError, OSError)


class Sent:
    """An upload's bytes on their way, slowly enough to be interrupted."""

    def __init__(self, attempt: Attempt, data: bytes) -> None:
        self.attempt = attempt
        self.data = data
        self.share = 0.0
        self.broke_at: float | None = None
        self.kept_bytes: int | None = None
        self.resumed_at: float | None = None

    async def body(self, offset: int = 0) -> AsyncIterator[bytes]:
        data = self.data[offset:]
        size = -(-len(data) // STEPS)
        for start in range(0, len(data), size):
            yield data[start : start + size]
            self.share = (start + size) / len(data)
            await asyncio.sleep(STEP_S)


async def dying_ingest(trial: Trial) -> None:
    """A client that breaks off, then a host that dies and comes back."""
    await trial.processors_up()
    await _break_off(trial)
    resumable = [_upload(trial, RESUMABLE_BYTES) for _ in range(EACH)]
    plain = [_upload(trial, PLAIN_BYTES) for _ in range(EACH)]
    tus = Tus(trial.fleet.http, trial.fleet.url)
    paths = [await tus.created(len(one.data), Upload_Metadata=metadata(denoise="false")) for one in resumable]
    async with asyncio.TaskGroup() as group:
        for one, path in zip(resumable, paths, strict=True):
            group.create_task(_send_resumably(tus, path, one))
        for one in plain:
            group.create_task(_send_plainly(trial, one))
        await until(lambda: all(one.share >= DIES_AT for one in (*resumable, *plain)), within_s=60)
        await _lose_power(trial)
    await _figures(trial, resumable, plain)
    await _power_up(trial)
    trial.load.attempts += [one.attempt for one in (*resumable, *plain)]
    await trial.ended(trial.load.accepted)


async def _lose_power(trial: Trial) -> None:
    """First the cable, so that nobody hears of its end."""
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
    """A plain upload whose client goes away, with parts of it in the bucket."""
    fleet, one = trial.fleet, _upload(trial, PLAIN_BYTES)
    sending = asyncio.create_task(_send_plainly(trial, one))
    await until(lambda: one.share >= DIES_AT, within_s=60)
    were_parts = len(await fleet.bucket.uploads())
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    left = [not await came_about(lambda: _none(fleet.bucket.uploads), within_s=GONE_WITHIN_S)]
    recorded = await fleet.record.value(JOB_OF, one.attempt.sha256)
    trial.figures["broken_off_by_its_client"] = {"multipart_uploads_before": were_parts, "left": sum(left) + recorded}
    trial.expect(were_parts, "nothing was in the bucket yet when the client went away")
    trial.expect(not any(left) and not recorded, "an upload that its client broke off left something")


async def _none(listed: Callable[[], Awaitable[Sequence[str]]]) -> bool:
    return not await listed()


def _upload(trial: Trial, size: int) -> Sent:
    short = trial.fleet.short
    data = padded(marked(short.wav, f"{trial.name} {trial.rng.random()}"), size)
    attempt = Attempt(
        number=-1,
        sha256=hashlib.sha256(data).hexdigest(),
        sent_at=now(),
        expected="COMPLETED",
        webhook=None,
        text=short.text,
        calls=short.calls,
        chunks=short.chunks,
    )
    return Sent(attempt, data)


async def _send_plainly(trial: Trial, one: Sent) -> None:
    """Once: a client that has nothing but its bytes."""
    headers, params = {"Content-Type": "audio/wav"}, {"denoise": "false"}
    try:
        async with trial.fleet.http.post("/v1/jobs", data=one.body(), headers=headers, params=params) as answer:
            body = await answer.json(content_type=None)
            one.attempt.status, one.attempt.job_id = answer.status, body.get("job_id")
    except BROKEN:
        one.broke_at = now()


async def _send_resumably(tus: Tus, path: str, one: Sent) -> None:
    """And go on, wherever the proxy leads, until it is a job."""
    first = await tus.patch(path, 0, one.data[:ACKNOWLEDGED_BYTES])
    assert first.offset == ACKNOWLEDGED_BYTES, first
    with contextlib.suppress(*BROKEN):
        _note(one, (await tus.patch(path, first.offset, one.body(first.offset))).headers)
        return
    one.broke_at = now()
    async with asyncio.timeout(RESUMED_WITHIN_S):
        while one.attempt.job_id is None:
            with contextlib.suppress(*BROKEN):
                await _go_on(tus, path, one)
            await asyncio.sleep(0 if one.attempt.job_id else WAIT_S)


async def _go_on(tus: Tus, path: str, one: Sent) -> None:
    stands = await tus.head(path)
    if stands.status != 200:
        return
    if one.resumed_at is None:
        one.kept_bytes, one.resumed_at = stands.offset, now()
    _note(one, (await tus.patch(path, stands.offset, one.data[stands.offset :])).headers)


def _note(one: Sent, headers: object) -> None:
    job_id = headers.get("Headrace-Job-Id")  # type: ignore[attr-defined]
    if job_id is not None:
        one.attempt.status, one.attempt.job_id = 202, str(UUID(job_id))


async def _figures(trial: Trial, resumable: list[Sent], plain: list[Sent]) -> None:
    fleet = trial.fleet
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
        "plain": {
            "uploads": len(plain),
            "broken": len(broken),
            "became_jobs": sum(one.attempt.status == 202 for one in plain),
            "broken_and_recorded": recorded,
            "multipart_left_to_the_bucket": len(await fleet.bucket.uploads()),
        },
    }
    trial.expect(broken and resumed, "no upload broke when its ingest died")
    trial.expect(len(broken) < len(plain), "all plain uploads broke, those of the other ingest, too")
    trial.expect(all(one.attempt.status == 202 for one in resumable), "a resumable upload did not become a job")
    kept = all((one.kept_bytes or 0) >= ACKNOWLEDGED_BYTES for one in resumed)
    trial.expect(kept, "bytes that were acknowledged had to be sent again")
    trial.expect(not recorded, "a plain upload that broke is recorded")
    rows = {row["id"] for row in await fleet.record.fetch("SELECT id FROM jobs")}
    nobodys = {job for key in await keys(fleet, blob_keys.ALL_JOBS) if (job := blob_keys.job_of(key)) not in rows}
    trial.expect(not nobodys, f"blobs of {len(nobodys)} jobs that nobody knows are left")
