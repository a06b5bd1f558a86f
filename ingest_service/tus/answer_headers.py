"""The headers in which tus answers: how far an upload is, until when, and which job it became. Pure."""

from email.utils import format_datetime

from ingest_service.tus.headers import ALGORITHMS
from ingest_service.tus.upload import Upload
from shared.schemas.api import Links

VERSION = "1.0.0"
EXTENSIONS = (
    "creation",
    "creation-defer-length",
    "creation-with-upload",
    "expiration",
    "termination",
    "checksum",
)
PATH = "/v1/uploads"


def abilities_headers(max_bytes: int) -> dict[str, str]:
    """What this server can do."""
    return {
        "Tus-Version": VERSION,
        "Tus-Extension": ",".join(EXTENSIONS),
        "Tus-Max-Size": str(max_bytes),
        "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
    }


def progress_headers(upload: Upload) -> dict[str, str]:
    """Of every answer about an upload. Once it is a job, `Content-Location` and `Headrace-Job-Id` name that."""
    headers = {"Upload-Offset": str(upload.offset_bytes), "Cache-Control": "no-store"}
    if not upload.is_completed:
        headers["Upload-Expires"] = format_datetime(upload.expires_at, usegmt=True)
    elif upload.job_id:
        headers |= {"Headrace-Job-Id": str(upload.job_id), "Content-Location": Links.of(upload.job_id).self}
    return headers


def creation_headers(upload: Upload) -> dict[str, str]:
    """Of the answer to a creation."""
    return {"Location": f"{PATH}/{upload.id}", **progress_headers(upload)}


def standing_headers(upload: Upload) -> dict[str, str]:
    """Of the answer to a HEAD."""
    headers = progress_headers(upload)
    if upload.length_bytes is None:
        headers["Upload-Defer-Length"] = "1"
    else:
        headers["Upload-Length"] = str(upload.length_bytes)
    if upload.metadata:
        headers["Upload-Metadata"] = upload.metadata
    return headers
