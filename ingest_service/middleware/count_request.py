"""Counts a request that ended, and says in `Server-Timing` what it waited for. Only uploads are counted."""

from ingest_service.request_record import RequestRecord
from ingest_service.telemetry.metrics import UPLOAD_SECONDS, UPLOAD_STEP_SECONDS, UPLOADS_ACCEPTED, UPLOADS_REFUSED

UPLOAD_PATHS = frozenset({"/v1/jobs", "/api/upload-audio"})
RESUMABLE_PATH, RESUMABLE_METHODS = "/v1/uploads", frozenset({"POST", "PATCH"})


def is_upload(method: str, path: str) -> bool:
    """Whether a request hands in audio."""
    if method == "POST" and path.rstrip("/") in UPLOAD_PATHS:
        return True
    return method in RESUMABLE_METHODS and path.startswith(RESUMABLE_PATH)


def count_upload(record: RequestRecord) -> None:
    """Count an upload once its answer is out."""
    if record.accepted_job:
        UPLOADS_ACCEPTED.inc()
        UPLOAD_SECONDS.observe(record.elapsed_s())
        UPLOAD_STEP_SECONDS["receive"].observe(record.waited_s)
        UPLOAD_STEP_SECONDS["store"].observe(record.store_s())
        UPLOAD_STEP_SECONDS["commit"].observe(record.commit_s)
    elif record.problem:
        UPLOADS_REFUSED[record.problem].inc()


def server_timing(record: RequestRecord, *, upload: bool) -> str:
    """The header, in milliseconds: what an upload waited for, as far as it came, and the total."""
    receive = f"receive;dur={record.waited_s * 1000:.1f}, " if upload else ""
    commit = ""
    if record.commit_began_s is not None:
        commit = f"store;dur={record.store_s() * 1000:.1f}, commit;dur={record.commit_s * 1000:.1f}, "
    return f"{receive}{commit}total;dur={record.elapsed_s() * 1000:.1f}"
