"""The keys in the blob store: of jobs, of unfinished uploads and of presigned uploads."""

import contextlib
import re
from uuid import UUID

ALL_JOBS = "jobs"
ALL_UPLOADS = "uploads"
ALL_DIRECT = "direct"
OF_CHUNK = re.compile(r"/g(\d+)/chunks/")
DIRECT_KEPT_S = 24 * 3600.0  # a presigned upload may become a job for this long; then it is deleted


def job_of(key: str) -> UUID | None:
    """Return the job that a blob belongs to; None for a key that is not ours."""
    folder, _, rest = key.partition("/")
    with contextlib.suppress(ValueError):
        return UUID(rest.partition("/")[0]) if folder == ALL_JOBS else None
    return None


def chunk_generation_of(key: str) -> int | None:
    """Return the generation that made a blob of a chunk; None for other blobs."""
    found = OF_CHUNK.search(key)
    return int(found[1]) if found else None


def job(job_id: UUID) -> str:
    """The prefix of all blobs of a job."""
    return f"jobs/{job_id}"


def source(job_id: UUID) -> str:
    """The uploaded bytes, unchanged."""
    return f"jobs/{job_id}/source"


def derived(job_id: UUID, generation: int) -> str:
    """The prefix of all blobs that a generation has made."""
    return f"jobs/{job_id}/g{generation}"


def chunks(job_id: UUID, generation: int) -> str:
    """The prefix of all chunks of a generation."""
    return f"{derived(job_id, generation)}/chunks/"


def chunk_audio(job_id: UUID, generation: int, ordinal: int) -> str:
    return f"{chunks(job_id, generation)}{ordinal}.flac"


def chunk_denoised(job_id: UUID, generation: int, ordinal: int) -> str:
    return f"{chunks(job_id, generation)}{ordinal}.denoised.flac"


def chunk_transcript(job_id: UUID, generation: int, ordinal: int) -> str:
    return f"{chunks(job_id, generation)}{ordinal}.json"


def chunk_voices(job_id: UUID, generation: int, ordinal: int) -> str:
    return f"{chunks(job_id, generation)}{ordinal}.voices"


def denoised(job_id: UUID, generation: int) -> str:
    return f"{derived(job_id, generation)}/denoised.flac"


def transcript(job_id: UUID, generation: int) -> str:
    return f"{derived(job_id, generation)}/transcript.json"


def peaks(job_id: UUID, generation: int) -> str:
    return f"{derived(job_id, generation)}/peaks.json"


def peaks_overview(job_id: UUID, generation: int) -> str:
    """The peaks of a file over an hour at a lower resolution."""
    return f"{derived(job_id, generation)}/peaks-overview.json"


def upload(upload_id: UUID) -> str:
    """The prefix of all parts of a resumable upload."""
    return f"{ALL_UPLOADS}/{upload_id}"


def upload_part(upload_id: UUID, offset_bytes: int, lease_token: int) -> str:
    """The bytes from an offset on. The token keeps a stale writer from overwriting the next writer's part."""
    return f"{upload(upload_id)}/{offset_bytes}-{lease_token}"


def upload_part_of(key: str) -> tuple[UUID, int, int] | None:
    """Return a part's upload, offset and lease token; None for a key that is not ours."""
    folder, _, rest = key.partition("/")
    upload_id, _, name = rest.partition("/")
    offset_bytes, _, token = name.partition("-")
    with contextlib.suppress(ValueError):
        return (UUID(upload_id), int(offset_bytes), int(token)) if folder == ALL_UPLOADS else None
    return None


def direct(upload_id: UUID) -> str:
    """A presigned upload. Its client may write it again, so a job gets a copy."""
    return f"{ALL_DIRECT}/{upload_id}"
