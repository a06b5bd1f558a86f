"""Checks all uploads that a server accepted: rows, bytes and dispatches, as far as the contender stores them."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from redis.asyncio import Redis

from shared.blobs import blob_keys
from shared.blobs.blob_store import BlobStore
from shared.queue.dispatch import Dispatch
from shared.schemas.states import TaskKind
from tests.tools.benchmarks.ingest.form_request import FormRequest
from tests.tools.benchmarks.ingest.storages import Storages
from tests.tools.benchmarks.ingest.upload_audio import audio_pieces, audio_sha256
from tests.tools.benchmarks.ingest.usual_table import QUEUE

Accepted = Sequence[tuple[int, str]]  # number of the upload, id of the job
Faults = Counter[str]

DISPATCHED_WITHIN_S = 15.0  # the task is dispatched after the answer
AT_A_TIME = 1000
FIND_ROWS = """
SELECT j.id, j.source_sha256, j.source_bytes, t.id AS task_id, t.dispatch_no
FROM jobs j JOIN tasks t ON t.job_id = j.id AND t.kind = 'prepare' AND t.generation = 1 WHERE j.id = ANY($1::uuid[])
"""
FIND_USUAL = "SELECT id, bytes FROM usual_uploads WHERE id = ANY($1::uuid[])"


async def check_headrace(accepted: Accepted, audio_bytes: int, storages: Storages) -> Faults:
    """Check Headrace: ids are unique; each has its row, its bytes in the blob store and its dispatch in the queue."""
    rows = await _rows(storages, FIND_ROWS, accepted)
    blobs = BlobStore(storages.uploads.as_uri())
    faults = duplicate_ids(accepted)
    faults["no row"] = sum(job_id not in rows for _, job_id in accepted)
    present = [(number, rows[job_id]) for number, job_id in accepted if job_id in rows]
    faults += await asyncio.to_thread(_compare_all, present, audio_bytes, blobs)
    faults["not dispatched"] = await _count_undispatched(storages.redis_url, [row for _, row in present])
    return +faults


def _compare_all(present: Iterable[tuple[int, Any]], audio_bytes: int, blobs: BlobStore) -> Faults:
    faults: Faults = Counter()
    for number, row in present:
        path = blobs.local_path(blob_keys.source(row["id"]))
        sha256 = sha256_if_equal(path, audio_pieces(number, audio_bytes)) if path else None
        faults["other bytes stored"] += sha256 is None
        recorded = (row["source_sha256"], row["source_bytes"])
        faults["other bytes recorded"] += recorded != (sha256 or audio_sha256(number, audio_bytes), audio_bytes)
    return faults


def sha256_if_equal(path: Path, pieces: Iterable[bytes]) -> str | None:
    """Return the digest of a file with exactly these bytes; None when the file is different or missing."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            for piece in pieces:
                if file.read(len(piece)) != piece:
                    return None
                digest.update(piece)
            return None if file.read(1) else digest.hexdigest()
    except FileNotFoundError:
        return None


async def _count_undispatched(redis_url: str, rows: Sequence[Any]) -> int:
    dispatches = [Dispatch(row["task_id"], row["dispatch_no"], TaskKind.PREPARE) for row in rows]
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + DISPATCHED_WITHIN_S
    async with Redis.from_url(redis_url) as redis:
        while (missing := await _not_queued(redis, dispatches)) and loop.time() < deadline_s:
            dispatches = missing
            await asyncio.sleep(0.1)
    return len(missing)


async def _not_queued(redis: Any, dispatches: Sequence[Dispatch]) -> list[Dispatch]:
    missing = []
    for start in range(0, len(dispatches), AT_A_TIME):
        some = dispatches[start : start + AT_A_TIME]
        pipe = redis.pipeline(transaction=False)
        for dispatch in some:
            pipe.zscore(dispatch.queue, dispatch.arq_id)
        scores = await pipe.execute()
        missing += [dispatch for dispatch, score in zip(some, scores, strict=True) if score is None]
    return missing


async def check_usual(accepted: Accepted, audio_bytes: int, storages: Storages) -> Faults:
    """Check the usual stack: each upload has a row and a file, and the queue has as many messages."""
    rows = await _rows(storages, FIND_USUAL, accepted)
    faults = duplicate_ids(accepted)
    faults["no row"] = sum(job_id not in rows for _, job_id in accepted)
    faults["other bytes stored"] = _count_wrong_sizes(accepted, storages.uploads, audio_bytes)
    async with Redis.from_url(storages.redis_url) as redis:
        faults["not dispatched"] = max(0, len(accepted) - await redis.llen(QUEUE))
    return +faults


async def check_bare(accepted: Accepted, audio_bytes: int, storages: Storages) -> Faults:
    """Check the bare server: each upload has a file with the whole body."""
    faults = duplicate_ids(accepted)
    body_bytes = FormRequest("", audio_bytes).body_bytes
    faults["other bytes stored"] = _count_wrong_sizes(accepted, storages.uploads, body_bytes)
    return +faults


async def check_nothing(_accepted: Accepted, _audio_bytes: int, _storages: Storages) -> Faults:
    """Check nothing: the server stores nothing."""
    return Counter()


def duplicate_ids(accepted: Accepted) -> Faults:
    """Count ids that more than one upload received."""
    return Counter({"id given twice": len(accepted) - len({job_id for _, job_id in accepted})})


def _count_wrong_sizes(accepted: Accepted, folder: Path, size: int) -> int:
    paths = [folder / job_id for _, job_id in accepted]
    return sum(not path.exists() or path.stat().st_size != size for path in paths)


async def _rows(storages: Storages, query: str, accepted: Accepted) -> dict[str, Any]:
    await storages.fetch(
        "ANALYZE"
    )  # the tables were empty until now; without statistics the join scans a whole table per row
    rows = await storages.fetch(query, [UUID(job_id) for _, job_id in accepted])
    return {str(row["id"]): row for row in rows}


Check = Callable[[Accepted, int, Storages], Awaitable[Faults]]
CHECKS: dict[str, Check] = {
    "headrace": check_headrace,
    "usual": check_usual,
    "bare": check_bare,
    "generator": check_nothing,
}
