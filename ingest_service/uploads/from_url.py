"""Accepts the URL of audio, as JSON: a job whose source the processor fetches. Connects to nothing itself."""

import re
from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from litestar.types import Receive

from ingest_service.database import Database
from ingest_service.errors import RefusedError
from ingest_service.quotas.quotas import QuotaGate, Wanted
from ingest_service.uploads.body import read_body
from ingest_service.uploads.commit import AlsoCommit, commit_job, fingerprint
from ingest_service.uploads.options import OptionTexts, refused
from ingest_service.uploads.presigned import UPLOAD_FIELD, DirectJob, parse_upload_id
from ingest_service.uploads.receive import UploadHead, query_options
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


# Reads a submission in JSON: options beside the one field that says where the audio is.

JSON_TYPE = "application/json"
MAX_JSON_BYTES = 256 << 10


def is_json(head: UploadHead) -> bool:
    """Whether the body is JSON, where it may be."""
    return head.content_type == JSON_TYPE and not head.only_form


async def read_json_job(head: UploadHead, receive: Receive, schemes: Collection[str]) -> UrlJob | DirectJob:
    """The submission in a JSON body. Raises RefusedError or ClientGoneError."""
    if (head.content_length or 0) > MAX_JSON_BYTES:
        raise _too_large()
    texts = OptionTexts()
    query_options(head, texts)
    values = _object(await _whole(receive))
    if UPLOAD_FIELD in values:
        upload_id = _upload_id(values)
        texts.add_values(values)
        return DirectJob(job_id=new_id(), upload_id=upload_id, options=texts.options())
    url = checked_url(values.pop(URL_FIELD, None), schemes)
    texts.add_values(values)
    return UrlJob(job_id=new_id(), audio_url=url, options=texts.options())


def _upload_id(values: dict[str, Any]) -> UUID:
    """Taken out of the values. RefusedError `invalid_option`, or `not_found` for what is no id."""
    if URL_FIELD in values:
        raise refused(UPLOAD_FIELD, f"and `{URL_FIELD}` cannot both be given")
    text = values.pop(UPLOAD_FIELD)
    if not isinstance(text, str):
        raise refused(UPLOAD_FIELD, "is not a string")
    return parse_upload_id(text)


async def _whole(receive: Receive) -> bytes:
    data = bytearray()
    async for piece in read_body(receive):
        data += piece
        if len(data) > MAX_JSON_BYTES:
            raise _too_large()
    return bytes(data)


def _too_large() -> RefusedError:
    return RefusedError("too_large", f"A JSON body may have at most {MAX_JSON_BYTES} bytes.")


def _object(data: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedError("invalid_json", f"The body is not a JSON object: {error}.") from error
