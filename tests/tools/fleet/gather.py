"""Collects the facts of all hosts for the checker of the chaos runs."""

import hashlib
import json
from uuid import UUID

from shared.blobs import blob_keys
from tests.tools.chaos import gather as asked
from tests.tools.chaos.facts import Facts, JobRow, Leftovers
from tests.tools.chaos.golden import count_calls
from tests.tools.chaos.load import Attempt
from tests.tools.fleet import settings
from tests.tools.fleet.fleet import INGESTS, PROCESSORS, Fleet


async def gather(
    fleet: Fleet, attempts: tuple[Attempt, ...], *, struck: frozenset[str], calls_allowed_again: int
) -> Facts:
    """Return the current facts."""
    jobs = await asked.job_rows(fleet)
    return Facts(
        attempts=attempts,
        jobs={job.id: job for job in jobs},
        tasks=await asked.task_rows(fleet),
        changes=await asked.changes(fleet),
        events=await asked.event_rows(fleet),
        received=tuple(fleet.receiver.log),
        trapped=fleet.receiver.trapped,
        dead_in_redis=await asked.dead_letters(fleet),
        leftovers=await _leftovers(fleet),
        blobs=await _blobs(fleet),
        transcripts=await _transcripts(fleet, jobs),
        struck=struck,
        calls=sum(count_calls(fleet.model(name)) for name in PROCESSORS),
        calls_allowed_again=calls_allowed_again,
        foreign_rows_shown=await asked.foreign_rows_shown(fleet),
    )


async def keys(fleet: Fleet, prefix: str) -> list[str]:
    """Return the keys in the bucket under a prefix."""
    return [blob.key async for page in fleet.blobs.walk(prefix) for blob in page]


async def _leftovers(fleet: Fleet) -> Leftovers:
    temporary = [path for name in PROCESSORS for path in asked.left_in(fleet.temporary(name), slots=settings.SLOTS)]
    temporary += [path for name in INGESTS for path in fleet.temporary(name).iterdir()]
    strays = [
        stray
        for service in fleet.services
        if service.lives
        for stray in asked.orphans(fleet.temporary(service.name), [service])
    ]
    return Leftovers(
        queued=await asked.queued(fleet),
        keys_without_expiry=await asked.keys_without_expiry(fleet),
        temporary_files=tuple(map(str, temporary)),
        partial_blobs=tuple(await keys(fleet, blob_keys.ALL_UPLOADS)),
        orphaned_processes=tuple(strays),
        idle_in_transaction=await asked.idle_in_transaction(fleet),
    )


async def _blobs(fleet: Fleet) -> dict[str, str]:
    found = await keys(fleet, blob_keys.ALL_JOBS)
    return {key: await _sha256(fleet, key) if asked.is_source(key) else "" for key in found}


async def _sha256(fleet: Fleet, key: str) -> str:
    return hashlib.sha256(await fleet.blobs.get(key)).hexdigest()


async def _transcripts(fleet: Fleet, jobs: list[JobRow]) -> dict[UUID, str]:
    """Return the transcript text of each job that has one."""
    there = set(await keys(fleet, blob_keys.ALL_JOBS))
    by_job = {job.id: blob_keys.transcript(job.id, job.generation) for job in jobs}
    return {job: json.loads(await fleet.blobs.get(key))["text"] for job, key in by_job.items() if key in there}
