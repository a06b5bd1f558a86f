"""A claim leases a dispatched task to this worker. A task is claimed once for each dispatch."""

from uuid import UUID

import asyncpg
import msgspec

from shared.failpoints import failpoint
from shared.ids import jobs_of
from shared.queue.dispatch import DEFAULT_QUEUE_NAME
from shared.queue.task_costs import TO_FETCH
from shared.schemas.key_terms import NO_VOCABULARY, Vocabulary, joined_replacements, joined_terms
from shared.schemas.options import JobOptions
from shared.schemas.states import TaskKind
from shared.schemas.transcript import ResultWarning
from shared.secret import repr_hiding

# The fields of ClaimedTask, of a task `t` and its job `j`. The vocabulary is the one of the job's submission, for all
# its tasks, and needs no statement of its own.
CLAIMED_TASK = """t.id, t.job_id, t.generation, t.kind, t.ordinal, t.lease_token, t.attempts, t.crashes, t.input,
       j.options, j.tenant, j.interactive, j.queue, j.text_generation, j.chunk_count, j.warnings, j.source_bytes,
       coalesce(j.chunk_generation, t.generation) AS chunk_generation,
       CASE WHEN t.kind = 'prepare' AND j.source_sha256 IS NULL THEN j.source_url END AS source_url,
       j.source_sha256 IS NULL AND j.source_url IS NULL AS is_unhashed,
       CASE WHEN t.kind IN ('prepare', 'chunk') THEN (
           SELECT v.content FROM vocabularies v WHERE v.tenant = j.tenant AND v.created_at <= j.created_at
           ORDER BY v.created_at DESC LIMIT 1) END AS vocabulary"""

# The first claim turns a QUEUED job to PROCESSING and locks it before the task, the lock order of all statements. Later
# claims do not wait for the job's row. A job whose source is being fetched stays QUEUED: it waits for a slot.
CLAIM = f"""
WITH queued AS (
    SELECT id FROM jobs
    WHERE id BETWEEN $5 AND $6 AND status = 'QUEUED'
        AND id = (SELECT job_id FROM tasks WHERE id = $1 AND job_id BETWEEN $5 AND $6) FOR UPDATE
), claimed AS (
    UPDATE tasks
    SET state = 'running', lease_token = lease_token + 1, leased_by = $3, progress = 0,
        lease_expires_at = now() + make_interval(secs => $4), started_at = now()
    WHERE id = $1 AND job_id BETWEEN $5 AND $6 AND dispatch_no = $2 AND state = 'dispatched'
        AND (SELECT count(*) FROM queued) >= 0
    RETURNING *
), started AS (
    UPDATE jobs SET status = 'PROCESSING', started_at = coalesce(started_at, now())
    WHERE id BETWEEN $5 AND $6 AND status = 'QUEUED' AND NOT {TO_FETCH}
        AND id = (SELECT job_id FROM claimed WHERE kind <> 'deliver')
)
SELECT {CLAIMED_TASK} FROM claimed t JOIN jobs j ON j.id = t.job_id AND j.id BETWEEN $5 AND $6
"""  # noqa: S608 - constants


class ClaimedTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task leased to this worker, with what its stage needs of the job."""

    id: UUID
    job_id: UUID
    generation: int
    kind: TaskKind
    ordinal: int
    lease_token: int
    attempts: int
    crashes: int
    input: msgspec.Raw | None
    options: JobOptions
    tenant: str
    chunk_count: int
    chunk_generation: int  # part of the keys of the chunks' blobs
    warnings: tuple[ResultWarning, ...]
    text_generation: int | None = None  # whose text gets other speakers; None: the job is transcribed
    interactive: bool = False  # a client waits for the job
    queue: str = DEFAULT_QUEUE_NAME
    source_bytes: int | None = None
    source_url: str | None = None  # set while the source must be fetched
    is_unhashed: bool = False  # the client uploaded the source directly to the bucket
    vocabulary: Vocabulary = NO_VOCABULARY  # of the tenant

    @property
    def transcription_options(self) -> JobOptions:
        """The options with the tenant's vocabulary after the job's own key terms."""
        if not self.vocabulary or not self.options.vocabulary:
            return self.options
        return msgspec.structs.replace(
            self.options,
            keyterms=joined_terms(self.options.keyterms, self.vocabulary.keyterms),
            replacements=joined_replacements(self.options.replacements, self.vocabulary.replacements),
        )

    @property
    def to_fetch(self) -> bool:
        """Whether the task begins by fetching its source."""
        return self.source_url is not None

    def __repr__(self) -> str:
        return repr_hiding(self, "source_url")  # its query may hold a signature


async def claim(
    pool: asyncpg.Pool, task_id: UUID, dispatch_no: int, *, worker: str, lease_s: float
) -> ClaimedTask | None:
    """Lease a dispatched task. None: another worker has it, or a newer dispatch replaced this one."""
    failpoint("claim.before")
    row = await pool.fetchrow(CLAIM, task_id, dispatch_no, worker, lease_s, *jobs_of([task_id]))
    failpoint("claim.after")
    return claimed_task(row) if row else None


def claimed_task(row: asyncpg.Record) -> ClaimedTask:
    """Convert a row with the columns CLAIMED_TASK."""
    fields = dict(row)
    fields["kind"] = TaskKind(row["kind"])
    fields["input"] = msgspec.Raw(row["input"].encode()) if row["input"] else None
    fields["options"] = msgspec.json.decode(row["options"], type=JobOptions)
    fields["warnings"] = msgspec.json.decode(row["warnings"], type=tuple[ResultWarning, ...])
    vocabulary = row["vocabulary"]
    fields["vocabulary"] = msgspec.json.decode(vocabulary, type=Vocabulary) if vocabulary else NO_VOCABULARY
    return ClaimedTask(**fields)
