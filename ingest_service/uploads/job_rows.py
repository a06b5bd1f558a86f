"""The rows of new jobs and their first tasks, and the statement that inserts many of them at once."""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from shared.ids import new_id
from shared.queue.dispatch import Dispatch
from shared.queue.task_costs import cost_s
from shared.schemas.options import SubmitOptions
from shared.schemas.states import TaskKind

INSERT_JOBS_AND_FIRST_TASKS = """
    WITH job AS (
        INSERT INTO jobs (id, tenant, options, metadata, webhook_url, webhook_secret,
                          filename, container, source_bytes, source_sha256)
        SELECT * FROM unnest($1::uuid[], $2::text[], $3::json[], $4::json[], $5::text[], $6::text[],
                             $7::text[], $8::text[], $9::bigint[], $10::text[])
    ), counted AS (
        INSERT INTO tenant_usage AS used (tenant, day, shard, uploads, bytes)
        SELECT tenant, usage_day(), usage_shard(), count(*), sum(bytes)
        FROM unnest($2::text[], $9::bigint[]) AS job (tenant, bytes) GROUP BY tenant ORDER BY tenant
        ON CONFLICT (tenant, day, shard) DO UPDATE
            SET uploads = used.uploads + excluded.uploads, bytes = used.bytes + excluded.bytes
    )
    INSERT INTO tasks (id, job_id, kind, state, dispatch_no)
    SELECT task_id, job_id, 'prepare', 'dispatched', 1 FROM unnest($11::uuid[], $1::uuid[]) AS first (task_id, job_id)
"""


class JobRow(NamedTuple):
    """A job and its first task as they are recorded; the statement's parameters in their order."""

    job_id: UUID
    tenant: str
    options_json: str
    metadata_json: str | None
    webhook_url: str | None
    webhook_secret: str | None
    filename: str | None
    container: str
    source_bytes: int
    source_sha256: str | None  # of a direct upload: not known yet
    task_id: UUID


def columns_of(rows: Sequence[JobRow]) -> list[tuple[Any, ...]]:
    """The parameters of INSERT_JOBS_AND_FIRST_TASKS."""
    return list(zip(*rows, strict=True))


def job_row(  # noqa: PLR0913 - what is known of a source, named at each call
    tenant: str,
    job_id: UUID,
    options: SubmitOptions,
    *,
    container: str,
    source_bytes: int,
    source_sha256: str | None,
    filename: str | None = None,
) -> JobRow:
    """The row of a new job whose source is stored."""
    return JobRow(
        job_id=job_id,
        tenant=tenant,
        options_json=msgspec.json.encode(options.job_options()).decode(),
        metadata_json=None if options.metadata is None else msgspec.json.encode(options.metadata).decode(),
        webhook_url=options.webhook_url,
        webhook_secret=options.webhook_secret,
        filename=filename,
        container=container,
        source_bytes=source_bytes,
        source_sha256=source_sha256,
        task_id=new_id(),
    )


def first_task(row: JobRow) -> Dispatch:
    """The `prepare` task of a row, to ring the bell for."""
    cost = cost_s(TaskKind.PREPARE, source_bytes=row.source_bytes, container=row.container)
    return Dispatch(row.task_id, 1, TaskKind.PREPARE, row.tenant, cost)
