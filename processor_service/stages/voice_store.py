"""Find samples of voices, and voices, in the database and the store. What is of another tenant is not found."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg
import msgspec

from processor_service.diarization.known_voices import KnownVoice
from shared.blobs import blob_keys
from shared.schemas.known_speakers import VoiceSample
from shared.schemas.options import JobOptions

FIND_JOB = """
    SELECT options, container IS NOT NULL AS has_audio, audio_erased_at IS NOT NULL AS is_erased
    FROM jobs WHERE id = $1 AND tenant = $2 AND erased_at IS NULL
"""
FIND_UPLOAD = "SELECT job_id FROM direct_uploads WHERE id = $1 AND tenant = $2"
FIND_VOICES = """
    SELECT id, name, embedding, failure FROM voices WHERE tenant = $1 AND ($3 OR id = ANY($2::uuid[])) ORDER BY id
"""


class SampleError(Exception):
    """The sample cannot be used. The message is a sentence for the client."""


class SampleSource(msgspec.Struct, frozen=True, kw_only=True):
    """The audio of a sample in the store, and its track."""

    key: str
    track: int | None = None


class StoredVoice(msgspec.Struct, frozen=True, kw_only=True):
    """A voice of the tenant: its embedding, or why it has none."""

    id: UUID
    name: str
    embedding: bytes | None
    failure: str | None


class VoiceStore:
    """Reads for one tenant."""

    def __init__(self, pool: asyncpg.Pool, tenant: str) -> None:
        self._pool = pool
        self._tenant = tenant

    async def source_of(self, sample: VoiceSample) -> SampleSource:
        """Return where the audio of a sample is. Raise SampleError."""
        if sample.job_id is not None:
            return await self._of_job(sample.job_id)
        upload_id = sample.upload_id
        row = await self._pool.fetchrow(FIND_UPLOAD, upload_id, self._tenant) if upload_id else None
        if upload_id is None or row is None:
            raise SampleError("The upload of the sample was not found.")
        if row["job_id"] is not None:
            raise SampleError("The upload of the sample is a job. Name the job instead.")
        return SampleSource(key=blob_keys.direct(upload_id))

    async def _of_job(self, job_id: UUID) -> SampleSource:
        row = await self._pool.fetchrow(FIND_JOB, job_id, self._tenant)
        if row is None:
            raise SampleError("The job of the sample was not found.")
        if row["is_erased"]:
            raise SampleError("The audio of the sample's job was erased.")
        if not row["has_audio"]:
            raise SampleError("The audio of the sample's job is not stored yet.")
        options = msgspec.json.decode(row["options"], type=JobOptions)
        return SampleSource(key=blob_keys.source(job_id), track=options.track)

    async def voices(self, ids: Sequence[UUID], *, all_: bool) -> list[StoredVoice]:
        """Return these voices of the tenant, or all."""
        rows = await self._pool.fetch(FIND_VOICES, self._tenant, ids, all_)
        return [StoredVoice(**dict(row)) for row in rows]


def known_voice(name: str, voice: StoredVoice | None) -> KnownVoice:
    """Return a stored voice under a name. Raise SampleError unless it has its embedding."""
    if voice is None:
        raise SampleError("The voice was not found.")
    if voice.embedding is None:
        raise SampleError(voice.failure or "The voice is not ready yet.")
    return KnownVoice(name=name, embedding=voice.embedding)
