"""Who gets the results of a job as they were before redaction: callers with the scope `admin`, if they were kept."""

from typing import Annotated

from litestar.params import QueryParameter

from ingest_service.auth.caller import Caller, Scope, require
from ingest_service.errors import RefusedError
from ingest_service.jobs.queries import JobResults

Redacted = Annotated[
    bool,
    QueryParameter(description="`false`: what was kept by `redact_keep_original`; needs a key with the scope `admin`"),
]


def require_original(caller: Caller, job: JobResults) -> None:
    """Raise RefusedError `forbidden` or `no_original` unless the caller gets what was redacted."""
    require(caller, Scope.ADMIN)
    if job.options.changes_text and not job.options.redact_keep_original:
        raise RefusedError("no_original", "What was redacted in this job was not kept.")
