"""Accepts the URL of audio, as JSON: a job whose source the processor fetches. Connects to nothing itself."""

import re
from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from ingest_service.database import Database
from ingest_service.quotas.quota_gate import QuotaGate, Wanted
from ingest_service.uploads.commit_job import AlsoCommit, commit_job
from ingest_service.uploads.fingerprint import fingerprint
from ingest_service.uploads.options import refused
from shared.ids import new_id
from shared.queue.dispatch import Dispatch
from shared.queue.task_costs import cost_s
from shared.schemas.options import SubmitOptions
from shared.schemas.states import TaskKind

URL_FIELD = "audio_url"
MAX_URL_CHARS = 4096  # a signed URL of a bucket has a thousand or two
# No credentials in it, as in a webhook's; what no URL holds, and what parsers understand differently, is refused.
URL = re.compile(r"(?i:https?)://[^\s\\/?#@]+(?:[/?#][^\s\\\x00-\x1f\x7f]*)?")

INSERT_JOB_AND_FIRST_TASK = """
    WITH job AS (
        INSERT INTO jobs (id, tenant, options, metadata, webhook_url, webhook_secret, source_url)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        RETURNING id
    ), counted AS (
        INSERT INTO tenant_usage AS used (tenant, day, shard, uploads) VALUES ($2, usage_day(), usage_shard(), 1)
        ON CONFLICT (tenant, day, shard) DO UPDATE SET uploads = used.uploads + 1
    )
    INSERT INTO tasks (id, job_id, kind, state, dispatch_no) SELECT $8, id, 'prepare', 'dispatched', 1 FROM job
"""


class UrlJob(msgspec.Struct, frozen=True, kw_only=True):
    """A submission by URL, its options valid."""

    job_id: UUID
    audio_url: str
    options: SubmitOptions

    @property
    def fingerprint(self) -> str:
        return fingerprint(f"{URL_FIELD} {self.audio_url}", self.options)


async def record_url_job(
    database: Database, quotas: QuotaGate, tenant: str, job: UrlJob, *, also: AlsoCommit | None = None
) -> Dispatch:
    """Commit the job and its `prepare` task, and with them what the caller `also` writes.

    Raises as `commit_job`, and LimitError.
    """
    first_task = Dispatch(new_id(), 1, TaskKind.PREPARE, tenant, cost_s(TaskKind.PREPARE))

    async def insert(connection: Any) -> None:
        await quotas.require(connection, Wanted(tenant, 0))
        await connection.execute(INSERT_JOB_AND_FIRST_TASK, *_columns(tenant, job), first_task.task_id)
        if also:
            await also(connection, job.job_id, job.fingerprint)

    await commit_job(database, tenant, job.job_id, insert)
    return first_task


def checked_url(value: Any, schemes: Collection[str]) -> str:
    """The URL if it may be asked for, as far as it tells itself; RefusedError `invalid_option`."""
    if not isinstance(value, str):
        raise refused(URL_FIELD, "is missing" if value is None else "is not a string")
    if len(value) > MAX_URL_CHARS:
        raise refused(URL_FIELD, f"is longer than {MAX_URL_CHARS} characters")
    if not URL.fullmatch(value) or not _has_host_and_port(value):
        raise refused(URL_FIELD, "is not an http or https URL without user name and password")
    if urlsplit(value).scheme not in schemes:
        raise refused(URL_FIELD, f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    return value


def _has_host_and_port(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _columns(tenant: str, job: UrlJob) -> tuple[UUID | str | None, ...]:
    options = job.options
    metadata = None if options.metadata is None else msgspec.json.encode(options.metadata).decode()
    return (
        job.job_id,
        tenant,
        msgspec.json.encode(options.job_options()).decode(),
        metadata,
        options.webhook_url,
        options.webhook_secret,
        job.audio_url,
    )
