"""The keys in the blob store: of jobs, of unfinished uploads and of presigned uploads.

Ids are ordered by time. Plain keys of one day therefore begin alike, and a bucket splits what begins alike slowly.
The keys of a spreading id (`shared.ids.new_id`) begin with its last two digits, which are random: `jobs/3f/<id>…`.
The id alone decides: readers look nothing up, and plain keys stay readable.
"""

import contextlib
import re
from collections.abc import Iterator
from uuid import UUID

from shared.ids import is_spreading

ALL_JOBS = "jobs"
ALL_UPLOADS = "uploads"
ALL_DIRECT = "direct"
OF_CHUNK = re.compile(r"/g(\d+)/chunks/")
SPREAD = re.compile(r"[0-9a-f]{2}/")
# A spreading job's source lies beside its folder: an upload to a local disk makes no folder. The underscore comes after
# the slash, so that stores that order keys and stores that order folders list both in the same order.
BESIDE = "_source"
OVERVIEW_FROM_S = 3600.0  # of the peaks of a longer file, which has more pixels than any screen
DIRECT_KEPT_S = 24 * 3600.0  # a presigned upload may become a job for this long; then it is deleted


def job_of(key: str) -> UUID | None:
    """Return the job that a blob belongs to; None for a key that is not ours."""
    kind, name, _ = _parts_of(key)
    return _id_of(name.removesuffix(BESIDE)) if kind == ALL_JOBS else None


def _parts_of(key: str) -> tuple[str, str, str]:
    """Return the kind, the name that has the id, and the rest."""
    kind, _, rest = key.partition("/")
    name, _, rest = (rest[3:] if SPREAD.match(rest) else rest).partition("/")
    return kind, name, rest


def _id_of(text: str) -> UUID | None:
    with contextlib.suppress(ValueError):
        return UUID(text)
    return None


def _folder(kind: str, id_: UUID) -> str:
    name = str(id_)
    return f"{kind}/{name[-2:]}/{name}" if is_spreading(id_) else f"{kind}/{name}"


def chunk_generation_of(key: str) -> int | None:
    """Return the generation that made a blob of a chunk; None for other blobs."""
    found = OF_CHUNK.search(key)
    return int(found[1]) if found else None


def job(job_id: UUID) -> str:
    """The prefix of all blobs of a job; the source of a spreading job lies beside it."""
    return _folder(ALL_JOBS, job_id)


def source(job_id: UUID) -> str:
    """The uploaded bytes, unchanged."""
    return f"{job(job_id)}{BESIDE if is_spreading(job_id) else '/source'}"


def derived(job_id: UUID, generation: int) -> str:
    """The prefix of all blobs that a generation has made."""
    return f"{job(job_id)}/g{generation}"


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


def original_transcript(job_id: UUID, generation: int) -> str:
    """The transcript before redaction, if the client asked to keep it."""
    return f"{derived(job_id, generation)}/transcript-original.json"


def redacted_audio(job_id: UUID, generation: int) -> str:
    """The copy of the audio without what was redacted, which clients get instead of the source."""
    return f"{derived(job_id, generation)}/redacted.flac"


def peaks(job_id: UUID, generation: int) -> str:
    return f"{derived(job_id, generation)}/peaks.json"


def peaks_overview(job_id: UUID, generation: int) -> str:
    """The peaks of a file over an hour at a lower resolution."""
    return f"{derived(job_id, generation)}/peaks-overview.json"


def summary_progress(job_id: UUID, generation: int) -> str:
    """What chat providers have answered so far; deleted when the summary is stored."""
    return f"{derived(job_id, generation)}/summary-progress.json"


def upload(upload_id: UUID) -> str:
    """The prefix of all parts of a resumable upload."""
    return _folder(ALL_UPLOADS, upload_id)


def upload_part(upload_id: UUID, offset_bytes: int, lease_token: int) -> str:
    """The bytes from an offset on. The token keeps a stale writer from overwriting the next writer's part."""
    return f"{upload(upload_id)}/{offset_bytes}-{lease_token}"


def upload_part_of(key: str) -> tuple[UUID, int, int] | None:
    """Return a part's upload, offset and lease token; None for a key that is not ours."""
    kind, name, rest = _parts_of(key)
    upload_id = _id_of(name)
    offset_bytes, _, token = rest.partition("-")
    with contextlib.suppress(ValueError):
        return (upload_id, int(offset_bytes), int(token)) if kind == ALL_UPLOADS and upload_id else None
    return None


def direct(upload_id: UUID) -> str:
    """A presigned upload. Its client may write it again, so a job gets a copy."""
    return _folder(ALL_DIRECT, upload_id)


def all_of_job(
    job_id: UUID, *, chunks: int, is_denoised: bool = True, has_peaks: bool = True, has_overview: bool = True
) -> Iterator[str]:
    """Yield every key that a job of one generation may have, if nothing of it is redacted or summarized."""
    yield source(job_id)
    if is_denoised:
        yield denoised(job_id, 1)
    yield transcript(job_id, 1)
    if has_peaks:
        yield peaks(job_id, 1)
    if has_peaks and has_overview:
        yield peaks_overview(job_id, 1)
    for ordinal in range(chunks):
        yield chunk_audio(job_id, 1, ordinal)
        if is_denoised:
            yield chunk_denoised(job_id, 1, ordinal)
        yield chunk_transcript(job_id, 1, ordinal)
        yield chunk_voices(job_id, 1, ordinal)


def audio_of_job(job_id: UUID, generation: int, *, is_redacted: bool = False) -> Iterator[str]:
    """Yield every key that the audio of a job may have, up to its generation."""
    yield source(job_id)
    for number in range(1, generation + 1):
        yield denoised(job_id, number)
        if is_redacted:
            yield redacted_audio(job_id, number)
