"""A run with two tenants: one attacks the services with everything a client may send, the other must not notice."""

import asyncio
import contextlib
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import aiohttp
import msgspec

from shared.blobs import blob_keys
from shared.schemas.states import JobStatus
from shared.schemas.transcript import Segment, Transcript, Word
from tests.tools.chaos.hostile_costs import Costs
from tests.tools.chaos.hostile_tenant import QUOTA_BYTES, Target
from tests.tools.chaos.load import Attempt
from tests.tools.chaos.run import Run
from tests.tools.chaos.services import clean_environment
from tests.tools.chaos.timings import percentile
from tests.tools.chaos.waiting import until

HOSTILE, HONEST = "hostile", "honest"
OPEN_UPLOADS = 200  # reached within a minute
INGEST_SETTINGS = {
    "HEADRACE_AUTH": "required",
    "HEADRACE_QUOTA_BYTES_A_DAY": str(QUOTA_BYTES),
    "HEADRACE_MAX_OPEN_UPLOADS": str(OPEN_UPLOADS),
}
WARM_UP_JOBS = 8
UPLOAD_EVERY_S = 0.5
RATIO = 2.0
# Times below these floors are not violations, even if calm was faster: both tenants share the cores. A resumable upload
# is five requests, and on two cores each waits for the slices of four decoders, a render and the database.
UPLOAD_FLOOR_S = 1.0
# A slot is not taken back: if all slots decode hostile files, a job waits until the first one reaches its budget.
COMPLETED_FLOOR_S = 3.0
INGEST_GROWTH_MB = 64.0
DERIVED_MB = 64.0  # the default of HEADRACE_DERIVED_LEAST_BYTES, which is the budget of a small file
METADATA_BYTES = 16 << 10
ERASED_WITHIN_S = 60.0
ERASE_AT_ONCE = 8
LONG_WORDS, LONG_S, SEGMENT_WORDS = 200_000, 86_400.0, 20

STATUS = "SELECT status FROM jobs WHERE id = $1::uuid"
LEFT = "SELECT id::text FROM jobs WHERE tenant = $1 AND erased_at IS NULL"
RESERVED = "SELECT count(*) AS uploads, coalesce(sum(length_bytes), 0)::bigint AS bytes FROM uploads WHERE tenant = $1"
LARGEST_METADATA = "SELECT coalesce(max(octet_length(metadata::text)), 0) FROM jobs WHERE tenant = $1"


async def c17_hostile_tenant(run: Run) -> None:
    """One tenant attacks disk, slots, quotas, CPU, threads and memory while another uploads short clips."""
    world, slots = run.world, run.profile.slots * len(run.world.workers)
    hostile_key, honest_key = [await make_key(run, tenant) for tenant in (HOSTILE, HONEST)]
    await world.restart_with({world.ingest: INGEST_SETTINGS})
    try:
        async with client_of(hostile_key) as hostile, client_of(honest_key) as honest:
            run.load.http = honest
            target = Target(
                url=world.url,
                key=hostile_key,
                long_job_id=await _long_job(run, hostile),
                seconds=run.profile.hostile_for_s,
                seed=run.rng.getrandbits(32),
            )
            await run.ended(await run.load.jobs(world.short, WARM_UP_JOBS, webhook=None))
            calm = await _upload_steadily(run, run.profile.calm_for_s)
            await run.ended(calm)
            run.fault("hostile tenant", costs=1)  # the job that the harness made long
            async with Costs(world, HOSTILE).watched() as costs:
                statuses, meanwhile = await asyncio.gather(_attack(target), _upload_steadily(run, target.seconds))
            run.figures["attacks"] = statuses
            await _hold_quotas(run)
            await _erase_all(run, hostile)
            await run.ended(meanwhile)
    finally:
        await world.restart_with({world.ingest: {}})  # the checks have no key
    await _hold_times(run, calm, meanwhile)
    _hold_costs(run, costs, slots)
    await run.judge()


async def make_key(run: Run, tenant: str) -> str:
    """Create a key of a tenant, as the operator does."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ingest_service.auth", "create", "--tenant", tenant, "--scopes", "submit,read,admin"),
        env=clean_environment() | {"HEADRACE_DATABASE_URL": run.world.record.url},
        stdout=PIPE,
        stderr=PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output.decode().strip()


@contextlib.asynccontextmanager
async def client_of(key: str) -> AsyncIterator[aiohttp.ClientSession]:
    """Open a client with a key."""
    headers, connector = {"Authorization": f"Bearer {key}"}, aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(headers=headers, connector=connector) as http:
        yield http


async def _long_job(run: Run, hostile: aiohttp.ClientSession) -> str:
    """Make a job whose transcript is that of a day of speech: the harness replaces the stored one."""
    data, headers = run.world.short.wav, {"Content-Type": "audio/wav"}
    async with hostile.post(f"{run.world.url}/v1/jobs?denoise=false", data=data, headers=headers) as answer:
        body: Any = await answer.json()
    job_id = str(body["job_id"])

    async def is_completed() -> bool:
        return bool(await run.world.record.value(STATUS, job_id) == JobStatus.COMPLETED)

    await until(is_completed, within_s=run.profile.quiet_within_s)
    path = run.world.blobs / blob_keys.transcript(UUID(job_id), 1)
    await asyncio.to_thread(path.write_bytes, await asyncio.to_thread(_long_transcript))
    return job_id


def _long_transcript() -> bytes:
    word_s = LONG_S / LONG_WORDS
    words = [
        Word(word="tick", start=round(n * word_s, 2), end=round((n + 1) * word_s, 2), confidence=1.0)
        for n in range(LONG_WORDS)
    ]
    pieces = [tuple(words[start : start + SEGMENT_WORDS]) for start in range(0, LONG_WORDS, SEGMENT_WORDS)]
    segments = tuple(_segment(number, piece) for number, piece in enumerate(pieces))
    text = " ".join(segment.text for segment in segments)
    return msgspec.json.encode(Transcript(text=text, language="en", duration=LONG_S, segments=segments))


def _segment(number: int, words: tuple[Word, ...]) -> Segment:
    text = " ".join(word.word for word in words)
    start, end = words[0].start, words[-1].end
    return Segment(id=number, start=start, end=end, text=text, confidence=1.0, no_speech_prob=0.0, words=words)


async def _upload_steadily(run: Run, seconds: float) -> list[Attempt]:
    """Start an upload at fixed intervals, whether earlier ones were answered or not. All must be accepted."""
    clock = asyncio.get_running_loop().time
    ends_at_s = clock() + seconds
    async with asyncio.TaskGroup() as group:
        tasks = []
        while clock() < ends_at_s:
            tasks.append(group.create_task(run.load.attempt(run.world.short, webhook=None)))
            await asyncio.sleep(UPLOAD_EVERY_S)
    attempts = [task.result() for task in tasks]
    refused = [attempt.status for attempt in attempts if attempt.status != 202]
    run.expect(not refused, f"{len(refused)} of {len(attempts)} uploads of the other tenant got {set(refused)}")
    return attempts


async def _attack(target: Target) -> str:
    """Run the hostile tenant. Return the statuses that it got."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.tools.chaos.hostile_tenant"), env=clean_environment(), stdin=PIPE, stdout=PIPE
    )
    try:
        output, _ = await process.communicate(msgspec.json.encode(target))
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, f"the hostile tenant ended with {process.returncode}"
    return output.decode()


async def _hold_quotas(run: Run) -> None:
    reserved = (await run.world.record.fetch(RESERVED, HOSTILE))[0]
    metadata_bytes = await run.world.record.value(LARGEST_METADATA, HOSTILE)
    run.figures |= {"reserved_mb": reserved["bytes"] >> 20, "open_uploads": reserved["uploads"]}
    run.figures |= {"largest_metadata_bytes": metadata_bytes}
    run.hold("bytes reserved by resumable uploads", reserved["bytes"], QUOTA_BYTES)
    run.hold("open uploads of the hostile tenant", reserved["uploads"], OPEN_UPLOADS)
    run.hold("bytes of the largest metadata", metadata_bytes, METADATA_BYTES)


async def _erase_all(run: Run, hostile: aiohttp.ClientSession) -> None:
    """Erase the jobs of the hostile tenant, so that the group becomes quiet. Every job can be erased."""
    limit = asyncio.Semaphore(ERASE_AT_ONCE)

    async def erase(job_id: str) -> int:
        async with limit, hostile.delete(f"{run.world.url}/v1/jobs/{job_id}") as answer:
            return answer.status

    async with asyncio.timeout(ERASED_WITHIN_S):
        ids = [row["id"] for row in await run.world.record.fetch(LEFT, HOSTILE)]
        statuses = await asyncio.gather(*map(erase, ids))
    run.figures["hostile_jobs"] = len(ids)
    run.expect(set(statuses) <= {204}, f"erasing {len(ids)} jobs of the hostile tenant got {set(statuses)}")


async def _hold_times(run: Run, calm: list[Attempt], meanwhile: list[Attempt]) -> None:
    """Compare the other tenant's times with the calm before."""
    completed_at = {
        str(change.job_id): change.at.timestamp()
        for change in await run.changes()
        if change.relation == "jobs" and change.state == JobStatus.COMPLETED
    }
    for what, floor_s, times_s in (
        ("upload", UPLOAD_FLOOR_S, _upload_times_s),
        ("completed", COMPLETED_FLOOR_S, lambda attempts: _times_to_complete_s(attempts, completed_at)),
    ):
        calm_s, hostile_s = (percentile(times_s(attempts), 0.99) for attempts in (calm, meanwhile))
        median_s = percentile(times_s(meanwhile), 0.5)
        run.figures |= {f"{what}_p99_calm_s": calm_s, f"{what}_p99_s": hostile_s, f"{what}_median_s": median_s}
        run.hold(f"p99 of {what} of the other tenant (s)", hostile_s, max(RATIO * calm_s, floor_s))


def _upload_times_s(attempts: list[Attempt]) -> list[float]:
    return [attempt.answered_at - attempt.sent_at for attempt in attempts]


def _times_to_complete_s(attempts: list[Attempt], completed_at: dict[str, float]) -> list[float]:
    return [completed_at[attempt.job_id] - attempt.sent_at for attempt in attempts if attempt.job_id in completed_at]


def _hold_costs(run: Run, costs: Costs, slots: int) -> None:
    run.figures |= costs.figures()
    run.hold("memory growth of the ingest (MB)", costs.ingest_growth_mb, INGEST_GROWTH_MB)
    run.hold("what the processors stored for one hostile job (MB)", costs.job_mb, DERIVED_MB)
    run.hold("scratch files (MB)", costs.scratch_mb, slots * DERIVED_MB)
