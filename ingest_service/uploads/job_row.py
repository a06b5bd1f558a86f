"""The rows of new jobs and of their first tasks."""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from shared.ids import new_task_id
from shared.queue.dispatch import DEFAULT_QUEUE_NAME, Dispatch
from shared.queue.task_costs import FETCH_COST_S, cost_s
from shared.schemas.options import SubmitOptions, encode_submission
from shared.schemas.results_to import Target, formats_of, targets_of
from shared.schemas.states import TaskKind
from shared.schemas.webhooks import webhooks_json
from shared.secret import Secret

INSERT_JOBS_AND_FIRST_TASKS = """
    WITH job AS (
        INSERT INTO jobs (id, tenant, options, metadata, webhook_url, webhook_secret,
                          filename, container, source_bytes, source_sha256, source_url, interactive, attach_key, queue,
                          webhooks)
        SELECT * FROM unnest($1::uuid[], $2::text[], $3::json[], $4::json[], $5::text[], $6::text[],
                             $7::text[], $8::text[], $9::bigint[], $10::text[], $12::text[],
                             $13::bool[], $14::text[], $15::text[], $16::jsonb[])
    ), counted AS (
        INSERT INTO tenant_usage AS used (tenant, day, shard, uploads, bytes)
        SELECT tenant, usage_day(), usage_shard(), count(*), coalesce(sum(bytes), 0)
        FROM unnest($2::text[], $9::bigint[]) AS job (tenant, bytes) GROUP BY tenant ORDER BY tenant
        ON CONFLICT (tenant, day, shard) DO UPDATE
            SET uploads = used.uploads + excluded.uploads, bytes = used.bytes + excluded.bytes
    )
    INSERT INTO tasks (id, job_id, kind, state, dispatch_no)
    SELECT task_id, job_id, 'prepare', 'dispatched', 1 FROM unnest($11::uuid[], $1::uuid[]) AS first (task_id, job_id)
"""


# Written only for the jobs that have them.
INSERT_HEADERS = "INSERT INTO source_headers (job_id, tenant, sealed) VALUES ($1, $2, $3)"
INSERT_RESULTS = """
    INSERT INTO result_writes (job_id, tenant, format, target, shown)
    SELECT $1, $2, * FROM unnest($3::text[], $4::text[], $5::text[])
"""


class Extras(NamedTuple):
    """What few jobs have, in tables of its own."""

    targets: tuple[Target, ...] = ()  # where the results are written
    sealed_headers: str | None = None  # of the source's URL


class JobRow(NamedTuple):
    """A job and its first task: the statement's parameters in order, and at the end what other statements write."""

    job_id: UUID
    tenant: str
    options_json: str
    metadata_json: str | None
    webhook_url: str | None
    webhook_secret: Secret | None
    filename: str | None
    container: str | None  # None, like the bytes, for a URL: not fetched yet
    source_bytes: int | None
    source_sha256: str | None  # None also for a presigned upload: not known yet
    task_id: UUID
    source_url: str | None = None
    interactive: bool = False  # a client waits for the job
    attach_key: str | None = None  # equal requests attach to the job
    queue: str = DEFAULT_QUEUE_NAME
    webhooks_json: str | None = None  # with their secrets
    extras: Extras | None = None


SECRETS = JobRow._fields.index("webhook_secret")


def columns_of(rows: Sequence[JobRow]) -> list[Any]:
    """The parameters of INSERT_JOBS_AND_FIRST_TASKS."""
    columns: list[Any] = [*zip(*rows, strict=True)][:-1]
    columns[SECRETS] = [secret.reveal() if secret else None for secret in columns[SECRETS]]
    return columns


async def insert_rows(connection: Any, rows: Sequence[JobRow]) -> None:
    """Insert jobs with their first tasks and their extras."""
    await connection.execute(INSERT_JOBS_AND_FIRST_TASKS, *columns_of(rows))
    for row in rows:
        if row.extras:
            await _insert_extras(connection, row, row.extras)


async def _insert_extras(connection: Any, row: JobRow, extras: Extras) -> None:
    if extras.sealed_headers:
        await connection.execute(INSERT_HEADERS, row.job_id, row.tenant, extras.sealed_headers)
    if extras.targets:
        formats, urls, shown = zip(*extras.targets, strict=True)
        await connection.execute(INSERT_RESULTS, row.job_id, row.tenant, formats, [url.reveal() for url in urls], shown)


def extras_of(job_id: UUID, options: SubmitOptions, sealed_headers: str | None) -> Extras | None:
    """Return what a job has in tables of its own; None for nearly all jobs."""
    if options.results_to is None:
        return Extras(sealed_headers=sealed_headers) if sealed_headers else None
    targets = targets_of(options.results_to.reveal(), formats_of(options.results_formats), job_id)
    return Extras(tuple(targets), sealed_headers)


def job_row(  # noqa: PLR0913 - properties of the source, named at each call
    tenant: str,
    job_id: UUID,
    options: SubmitOptions,
    *,
    container: str | None = None,
    source_bytes: int | None = None,
    source_sha256: str | None = None,
    filename: str | None = None,
    source_url: str | None = None,
    sealed_headers: str | None = None,
    interactive: bool = False,
    attach_key: str | None = None,
    queue: str,
) -> JobRow:
    """The row of a new job, whose source is stored or at a URL."""
    return JobRow(
        job_id=job_id,
        tenant=tenant,
        options_json=options.job_options_json(),
        metadata_json=None if options.metadata is None else msgspec.json.encode(options.metadata).decode(),
        webhook_url=options.webhook_url,
        webhook_secret=options.webhook_secret,
        filename=filename,
        container=container,
        source_bytes=source_bytes,
        source_sha256=source_sha256,
        task_id=new_task_id(job_id),
        source_url=source_url,
        interactive=interactive,
        attach_key=attach_key,
        queue=queue,
        webhooks_json=webhooks_json(options.webhooks),
        extras=extras_of(job_id, options, sealed_headers),
    )


def first_task(row: JobRow) -> Dispatch:
    """The dispatch of a row's `prepare` task."""
    to_fetch = row.source_url is not None
    cost = cost_s(TaskKind.PREPARE, source_bytes=row.source_bytes, container=row.container)
    cost = FETCH_COST_S if to_fetch else cost
    return Dispatch(
        row.task_id,
        1,
        TaskKind.PREPARE,
        row.tenant,
        cost,
        to_fetch=to_fetch,
        interactive=row.interactive,
        queue_name=row.queue,
    )


def fingerprint(source: str, options: SubmitOptions) -> str:
    """Identify a submission for its `Idempotency-Key`: the source's sha256 or URL, and all options.

    The file name and the upload method do not count.
    """
    asked = encode_submission(options, order="sorted")
    return hashlib.sha256(source.encode() + b"\n" + asked).hexdigest()
