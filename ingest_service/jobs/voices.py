"""Voices of people that a tenant keeps: add, list, show and delete them.

A processor reads the sample and makes the embedding, which the ingest never reads.
"""

from typing import Any
from uuid import UUID

import msgspec

from ingest_service.database import Database
from ingest_service.errors import RefusedError
from ingest_service.quotas.bounds import bound_reached
from ingest_service.uploads.presigned_uploads import require_upload
from shared.ids import new_id, parse_id
from shared.schemas.api import Voice, VoiceList
from shared.schemas.known_speakers import NewVoice
from shared.telemetry.logs import Log

log = Log(__name__)

MAX_VOICES = 200  # of a tenant: each may be compared with every speaker of a job
MAX_WAITING = 20  # of a tenant: a processor decodes audio for each

COLUMNS = "id, name, created_at, sample IS NOT NULL AS is_waiting, speech_s, failure"
LOCK = "SELECT pg_advisory_xact_lock(x'766f6963'::int, hashtext($1))"
COUNT = "SELECT count(*) AS kept, count(*) FILTER (WHERE sample IS NOT NULL) AS waiting FROM voices WHERE tenant = $1"
HAS_JOB = "SELECT 1 FROM jobs WHERE id = $1 AND tenant = $2 AND erased_at IS NULL"
ADD = f"INSERT INTO voices (id, tenant, name, sample) VALUES ($1, $2, $3, $4) RETURNING {COLUMNS}"  # noqa: S608 - constants
LIST = f"SELECT {COLUMNS} FROM voices WHERE tenant = $1 ORDER BY id"  # noqa: S608 - constants
READ = f"SELECT {COLUMNS} FROM voices WHERE tenant = $1 AND id = $2"  # noqa: S608 - constants
DELETE = "DELETE FROM voices WHERE tenant = $1 AND id = $2 RETURNING id"


def no_voices() -> RefusedError:
    """Return the refusal of a service that keeps no voices."""
    return RefusedError("no_voices", "This service keeps no voices. Its operator can change that with HEADRACE_VOICES.")


async def add_voice(database: Database, tenant: str, new: NewVoice) -> Voice:
    """Add a voice; a processor reads its sample. Raise RefusedError `not_found`, …, LimitError at MAX_VOICES."""
    if new.upload_id is not None:
        await require_upload(database, tenant, new.upload_id)
    async with database.transaction(tenant) as connection:
        await connection.execute(LOCK, tenant)
        if new.job_id is not None and await connection.fetchval(HAS_JOB, new.job_id, tenant) is None:
            raise RefusedError("not_found", "The job of the sample was not found.")
        counts = await connection.fetchrow(COUNT, tenant)
        for name, count, most in (
            ("voices", counts["kept"], MAX_VOICES),
            ("voices_waiting", counts["waiting"], MAX_WAITING),
        ):
            if count >= most:
                raise bound_reached(name, most)
        sample = msgspec.json.encode(new).decode()
        row = await connection.fetchrow(ADD, new_id(), tenant, " ".join(new.name.split()), sample)
    log.info("voice_added", tenant=tenant, voice_id=str(row["id"]))
    return _view(row)


async def list_voices(database: Database, tenant: str) -> VoiceList:
    """Return the tenant's voices, oldest first."""
    rows = await database.read(lambda connection: connection.fetch(LIST, tenant), tenant)
    return VoiceList(voices=tuple(map(_view, rows)))


async def read_voice(database: Database, tenant: str, voice_id: str) -> Voice:
    """Return a voice. Raise RefusedError `not_found`."""
    parsed = _parsed(voice_id)
    row = await database.read(lambda connection: connection.fetchrow(READ, tenant, parsed), tenant)
    if row is None:
        raise _no_such_voice()
    return _view(row)


async def delete_voice(database: Database, tenant: str, voice_id: str) -> None:
    """Delete a voice with its embedding. Raise RefusedError `not_found`."""
    parsed = _parsed(voice_id)
    async with database.transaction(tenant) as connection:
        if await connection.fetchval(DELETE, tenant, parsed) is None:
            raise _no_such_voice()
    log.info("voice_deleted", tenant=tenant, voice_id=voice_id)


def _parsed(voice_id: str) -> UUID:
    if (parsed := parse_id(voice_id)) is None:
        raise _no_such_voice()
    return parsed


def _no_such_voice() -> RefusedError:
    return RefusedError("not_found", "There is no voice with this id. List the voices.")


def _view(row: Any) -> Voice:
    has_failed = row["failure"] is not None
    return Voice(
        voice_id=str(row["id"]),
        name=row["name"],
        status="waiting" if row["is_waiting"] else "failed" if has_failed else "ready",
        created_at=row["created_at"],
        speech_s=None if row["speech_s"] is None else round(row["speech_s"], 2),
        error=row["failure"],
    )
