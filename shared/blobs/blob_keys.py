"""Where a job's bytes lie in the blob store, and those of an upload that is not whole, or not a job, yet."""

import contextlib
from uuid import UUID

ALL_JOBS = "jobs"
ALL_UPLOADS = "uploads"
ALL_DIRECT = "direct"
DIRECT_KEPT_S = 24 * 3600.0  # for so long an upload straight into the bucket may be made a job; then it is swept


def job_of(key: str) -> UUID | None:
    """Whose blob it is; None for a key that is not of ours."""
    folder, _, rest = key.partition("/")
    with contextlib.suppress(ValueError):
        return UUID(rest.partition("/")[0]) if folder == ALL_JOBS else None
    return None


def is_of_chunk(key: str) -> bool:
    """Whether it is needed only until the job has ended."""
    return "/chunks/" in key


def job(job_id: UUID) -> str:
    """The prefix under which everything of a job lies."""
    return f"jobs/{job_id}"


def source(job_id: UUID) -> str:
    """The upload, as it came."""
    return f"jobs/{job_id}/source"


def _generation(job_id: UUID, generation: int) -> str:
    return f"jobs/{job_id}/g{generation}"


def chunks(job_id: UUID, generation: int) -> str:
    """The prefix under which all chunks of a generation lie."""
    return f"{_generation(job_id, generation)}/chunks/"


def chunk_audio(job_id: UUID, generation: int, ordinal: int) -> str:
    return f"{chunks(job_id, generation)}{ordinal}.flac"


def chunk_denoised(job_id: UUID, generation: int, ordinal: int) -> str:
    return f"{chunks(job_id, generation)}{ordinal}.denoised.flac"


def chunk_transcript(job_id: UUID, generation: int, ordinal: int) -> str:
    return f"{chunks(job_id, generation)}{ordinal}.json"


def chunk_voices(job_id: UUID, generation: int, ordinal: int) -> str:
    return f"{chunks(job_id, generation)}{ordinal}.voices"


def denoised(job_id: UUID, generation: int) -> str:
    return f"{_generation(job_id, generation)}/denoised.flac"


def transcript(job_id: UUID, generation: int) -> str:
    return f"{_generation(job_id, generation)}/transcript.json"


def upload(upload_id: UUID) -> str:
    """The prefix under which all parts of a resumable upload lie."""
    return f"{ALL_UPLOADS}/{upload_id}"


def upload_part(upload_id: UUID, offset_bytes: int, lease_token: int) -> str:
    """The bytes from that offset on. A writer that lost its lease can never overwrite what the next one wrote."""
    return f"{upload(upload_id)}/{offset_bytes}-{lease_token}"


def upload_part_of(key: str) -> tuple[UUID, int, int] | None:
    """Whose part it is, its offset and its writer's token; None for a key that is not of ours."""
    folder, _, rest = key.partition("/")
    upload_id, _, name = rest.partition("/")
    offset_bytes, _, token = name.partition("-")
    with contextlib.suppress(ValueError):
        return (UUID(upload_id), int(offset_bytes), int(token)) if folder == ALL_UPLOADS else None
    return None


def direct(upload_id: UUID) -> str:
    """What a client puts into the bucket by itself. It may put it again, so a job gets a copy of its own."""
    return f"{ALL_DIRECT}/{upload_id}"
