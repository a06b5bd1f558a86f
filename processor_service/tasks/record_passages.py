"""Write the passages of a transcript for the search over transcripts, in place of those of an earlier attempt."""

from collections.abc import Sequence

import asyncpg
import msgspec

from processor_service.stages.passages import Passage
from processor_service.tasks.claim import ClaimedTask

# The lock makes an erasure wait, which then deletes the passages. Of an erased job, or without the lease, none is
# written.
WRITE = """
WITH job AS (
    SELECT id, tenant FROM jobs WHERE id = $1 AND erased_at IS NULL
        AND EXISTS (SELECT FROM tasks WHERE id = $2 AND job_id = $1 AND lease_token = $3 AND state = 'running')
    FOR SHARE
), dropped AS (
    DELETE FROM transcript_texts WHERE job_id = $1 AND number >= cardinality($4::text[]) AND EXISTS (SELECT FROM job)
)
INSERT INTO transcript_texts (job_id, number, tenant, config, body, segments, words)
SELECT job.id, p.position - 1, job.tenant, p.config, p.body, p.segments::json,
    to_tsvector(p.config::regconfig, p.words) || array_to_tsvector(ARRAY[word_of_tenant(job.tenant)])
FROM job, unnest($4::text[], $5::text[], $6::text[], $7::text[]) WITH ORDINALITY
    AS p(config, body, segments, words, position)
ON CONFLICT (job_id, number) DO UPDATE
    SET config = excluded.config, body = excluded.body, segments = excluded.segments, words = excluded.words
"""


async def record_passages(pool: asyncpg.Pool, task: ClaimedTask, passages: Sequence[Passage]) -> None:
    """Write the passages of a job. Each attempt writes the same."""
    columns = (
        [one.config for one in passages],
        [one.body for one in passages],
        [msgspec.json.encode(one.segments).decode() for one in passages],
        [one.words for one in passages],
    )
    await pool.execute(WRITE, task.job_id, task.id, task.lease_token, *columns)
