"""Collect the state of a world for the checker: rows, Redis keys, files, processes, API answers."""

import fcntl
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar
from uuid import UUID

import aiohttp
import msgspec
from redis.asyncio import Redis

from processor_service.scratch import LOCK
from shared.blobs import blob_keys
from shared.queue.dispatch import COMPUTE_QUEUE, DELIVERY_QUEUE, FETCH_QUEUE, SUMMARY_QUEUE
from shared.schemas.failures import DEAD_LETTER_LIST
from tests.support.stack.launched import alive
from tests.support.storage.files_below import files_below
from tests.tools.chaos.facts import Change, DeadTask, EventRow, Facts, JobRow, Leftovers, TaskRow
from tests.tools.chaos.golden import count_calls
from tests.tools.chaos.load import Attempt
from tests.tools.chaos.record import FOREIGN_TENANT, ROLE, Record
from tests.tools.chaos.services import Service
from tests.tools.chaos.world import World

JOBS = "SELECT id, tenant, status, generation, source_sha256, error_code, erased_at FROM jobs"
TASKS = """
SELECT id, job_id, generation, kind, ordinal, state, attempts, crashes, failure ->> 'code' AS code, dismissed_at
FROM tasks
"""
QUEUES = (COMPUTE_QUEUE, DELIVERY_QUEUE, FETCH_QUEUE, SUMMARY_QUEUE)
CHANGES = "SELECT * FROM chaos_audit WHERE who IS NOT NULL ORDER BY seq"
# Erasure rewrites the row, so its transaction is no longer the one that inserted it.
EVENTS = """
SELECT e.id, job_id, e.generation, e.type,
    CASE WHEN erased_at IS NULL THEN pg_xact_commit_timestamp(e.xmin) ELSE e.created_at END AS committed_at
FROM webhook_events e JOIN jobs j ON j.id = e.job_id WHERE tenant <> $1
"""
OPEN_TRANSACTIONS = """
SELECT pid, application_name, query FROM pg_stat_activity
WHERE usename = $1 AND state LIKE 'idle in transaction%' AND state_change < now() - interval '2 s'
"""

S = TypeVar("S", bound=msgspec.Struct)


class Seen(Protocol):
    """A system whose state can be queried over the network."""

    record: Record
    redis: Redis
    http: aiohttp.ClientSession

    @property
    def url(self) -> str: ...


async def gather(
    world: World, attempts: tuple[Attempt, ...], *, struck: frozenset[str], calls_allowed_again: int
) -> Facts:
    """Collect the current state."""
    jobs = await job_rows(world)
    return Facts(
        attempts=attempts,
        jobs={job.id: job for job in jobs},
        tasks=await task_rows(world),
        changes=await changes(world),
        events=await event_rows(world),
        received=tuple(world.receiver.log),
        trapped=world.receiver.trapped,
        dead_in_redis=await dead_letters(world),
        leftovers=await _leftovers(world),
        blobs=_blobs(world.blobs),
        transcripts=_transcripts(world.blobs, jobs),
        struck=struck,
        calls=count_calls(world.model),
        calls_allowed_again=calls_allowed_again,
        foreign_rows_shown=await foreign_rows_shown(world),
    )


async def job_rows(seen: Seen) -> list[JobRow]:
    return _structs(JobRow, await seen.record.fetch(JOBS))


async def task_rows(seen: Seen) -> tuple[TaskRow, ...]:
    return tuple(_structs(TaskRow, await seen.record.fetch(TASKS)))


async def event_rows(seen: Seen) -> tuple[EventRow, ...]:
    return tuple(_structs(EventRow, await seen.record.fetch(EVENTS, FOREIGN_TENANT)))


async def changes(seen: Seen) -> tuple[Change, ...]:
    """Return the audited changes of the services."""
    return tuple(_structs(Change, await seen.record.fetch(CHANGES)))


def _structs(struct: type[S], rows: list[Any]) -> list[S]:
    names = struct.__struct_fields__
    return [struct(**{name: row[name] for name in names}) for row in rows]


async def dead_letters(seen: Seen) -> tuple[DeadTask, ...]:
    entries = await seen.redis.lrange(DEAD_LETTER_LIST, 0, -1)  # type: ignore[misc]
    return tuple(msgspec.json.decode(entry, type=DeadTask) for entry in entries)


async def _leftovers(world: World) -> Leftovers:
    return Leftovers(
        queued=await queued(world),
        keys_without_expiry=await keys_without_expiry(world),
        temporary_files=tuple(str(path) for path in left_in(world.temporary, slots=world.profile.slots)),
        partial_blobs=tuple(map(str, partial_blobs(world.blobs))),
        orphaned_processes=tuple(orphans(world.temporary, world.services)),
        idle_in_transaction=await idle_in_transaction(world),
    )


def is_source(key: str) -> bool:
    """Whether a blob is the audio of a job: in the job's folder, or beside it."""
    return key.endswith("source")


def partial_blobs(root: Path) -> list[Path]:
    """Return the files that are not complete: of uploads, or of what a processor writes."""
    return [path for path in files_below(root) if "#" in path.name]


async def queued(seen: Seen) -> tuple[str, ...]:
    """Return the entries of the queues as "queue arq-id"."""
    return tuple([f"{queue} {one}" for queue in QUEUES for one in await seen.redis.zrange(queue, 0, -1)])


async def idle_in_transaction(seen: Seen) -> tuple[str, ...]:
    sessions = await seen.record.fetch(OPEN_TRANSACTIONS, ROLE)
    return tuple(f"{row['application_name']} ({row['query'][:60]})" for row in sessions)


def left_in(temporary: Path, *, slots: int) -> list[Path]:
    """Return the temporary files that no running worker uses.

    A running worker holds the lock of its scratch folder, and uses one folder for each child process.
    """
    left: list[Path] = []
    for folder in temporary.iterdir():
        if not _is_held(folder / LOCK):
            left.append(folder)
            continue
        left += folder.glob("task-*")
        left += sorted(folder.glob("child-*"))[slots:]
    return left


def _is_held(lock: Path) -> bool:
    """Return whether a running process holds the lock. The kernel releases locks of ended processes."""
    try:
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


async def keys_without_expiry(seen: Seen) -> tuple[str, ...]:
    keys = [key async for key in seen.redis.scan_iter("arq:*") if key not in QUEUES]
    return tuple([key for key in keys if await seen.redis.pttl(key) == -1])


def orphans(temporary: Path, services: Sequence[Service]) -> list[str]:
    """Return processes that use a temporary folder but do not belong to a running service."""
    mark = f"TMPDIR={temporary}".encode()
    families = set().union(*(service.family() for service in services))
    marked = {
        int(path.parent.name) for path in Path("/proc").glob("[0-9]*/environ") if mark in _read(path).split(b"\0")
    }
    return [f"{pid} ({_read(Path(f'/proc/{pid}/cmdline')).decode()!r})" for pid in alive(marked - families)]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _blobs(root: Path) -> dict[str, str]:
    """Return the sha256 of each source by its key, and an empty string for other blobs."""
    files = [path for path in files_below(root) if "#" not in path.name]
    return {
        str(path.relative_to(root)): hashlib.sha256(_read(path)).hexdigest() if is_source(path.name) else ""
        for path in files
    }


def _transcripts(root: Path, jobs: list[JobRow]) -> dict[UUID, str]:
    stored = {job.id: _read(root / blob_keys.transcript(job.id, job.generation)) for job in jobs}
    return {job_id: json.loads(data)["text"] for job_id, data in stored.items() if data}


async def foreign_rows_shown(seen: Seen) -> tuple[str, ...]:
    """Return the paths whose answers contain data of another tenant."""
    rows = await seen.record.fetch("SELECT id FROM jobs WHERE tenant = $1", FOREIGN_TENANT)
    own_paths = ("", "/transcript", "/audio", "/peaks", "/work", "/webhook-attempts")
    shown = []
    for job_id in (str(row["id"]) for row in rows):
        for path in (f"/v1/jobs/{job_id}{rest}" for rest in own_paths):
            async with seen.http.get(seen.url + path) as answer:
                if answer.status != 404:
                    shown.append(path)
        for path in ("/v1/jobs?limit=200", "/v1/dead-letters?limit=200"):
            async with seen.http.get(seen.url + path) as answer:
                if job_id in await answer.text():
                    shown.append(path)
    return tuple(shown)
