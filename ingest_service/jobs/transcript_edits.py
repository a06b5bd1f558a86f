"""Versions of the corrections of a job's transcript: add, list and find them.

A version holds all changes, so that it is applied without the ones before it. The engine's text never changes.
"""

import hashlib
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from ingest_service.auth.caller import Caller
from ingest_service.database import Database
from ingest_service.edits.fit import Fitted
from ingest_service.errors import RefusedError
from ingest_service.formats.render import EditsForm, Overlay
from ingest_service.jobs.queries import JobReader, JobResults
from ingest_service.jobs.renders import RenderKey, Renders
from ingest_service.jobs.results import find_transcript
from ingest_service.jobs.rows import locked_job, results_generation
from shared.blobs.blob_store import BlobStore
from shared.schemas.transcript_edits import EditVersion, EditVersionList, EditVersionView, NewEdits, TranscriptEdits
from shared.subtitles.cue_size import CueSize
from shared.telemetry.logs import Log

log = Log(__name__)

MAX_VERSIONS = 100  # of a job; the oldest are dropped
MAX_BYTES = 16 << 20  # of a job's versions together, before the database compresses them

VERSIONS = f"""
    SELECT e.version, e.created_at, e.key_id, e.changes, e.text_generation
    FROM jobs j JOIN transcript_edits e ON e.job_id = j.id
    WHERE j.tenant = $1 AND j.id = $2 ORDER BY e.version DESC LIMIT {MAX_VERSIONS}
"""  # noqa: S608 - constants
ONE_VERSION = """
    SELECT e.version, e.created_at, e.key_id, e.changes, e.generation, e.text_generation, e.edits
    FROM jobs j JOIN transcript_edits e ON e.job_id = j.id
    WHERE j.tenant = $1 AND j.id = $2 AND ($3::integer IS NULL OR e.version = $3) ORDER BY e.version DESC LIMIT 1
"""
LATEST = """
    SELECT version, created_at, key_id, changes, text_generation, generation, edits FROM transcript_edits
    WHERE job_id = $1 ORDER BY version DESC LIMIT 1
"""
ADD = """
    INSERT INTO transcript_edits (job_id, version, generation, text_generation, key_id, changes, bytes, edits)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING version, created_at, key_id, changes, text_generation
"""
DROP_OLDEST = """
    DELETE FROM transcript_edits WHERE job_id = $1 AND version IN (
        SELECT version FROM (
            SELECT version, row_number() OVER newest AS number, sum(bytes) OVER newest AS total
            FROM transcript_edits WHERE job_id = $1 WINDOW newest AS (ORDER BY version DESC)
        ) AS versions
        WHERE number > 1 AND (number > $2 OR total > $3))
"""


class FoundEdits(NamedTuple):
    """A version of a job's edits as a render takes it."""

    version: EditVersion
    overlay: Overlay

    @property
    def key(self) -> str:
        """What identifies the edits among those of the job."""
        return str(self.version.version)


class EditStore:
    """The edits of all jobs. Methods raise RefusedError `not_found`, `job_erased` or `not_ready`, and OutageError."""

    def __init__(self, database: Database, jobs: JobReader, blobs: BlobStore, renders: Renders) -> None:
        self._database = database
        self._jobs = jobs
        self._blobs = blobs
        self._renders = renders

    async def list(self, tenant: str, job_id: str) -> EditVersionList:
        """Return the versions, newest first."""
        job = await self._jobs.get_results(tenant, job_id)
        rows = await self._database.read(lambda connection: connection.fetch(VERSIONS, tenant, job.job_id), tenant)
        versions = tuple(_version(row, job.text_generation) for row in rows)
        return EditVersionList(latest=versions[0].version if versions else 0, versions=versions)

    async def get(self, tenant: str, job_id: str, version: int) -> EditVersionView:
        """Return a version with its changes. RefusedError `edits_not_found`."""
        job = await self._jobs.get_results(tenant, job_id)
        found = await self._find(tenant, job, version)
        if found is None:
            raise no_such_version(version)
        edits = await self._addressed(tenant, job, found)
        return EditVersionView(
            **msgspec.structs.asdict(found.version), speakers=edits.speakers, words=edits.words, segments=edits.segments
        )

    async def to_apply(self, tenant: str, job: JobResults, wanted: int | None) -> FoundEdits | None:
        """Return the version to apply to a transcript, or None for the engine's text. `wanted` None: the latest.

        RefusedError `edits_not_found`, and `edits_outdated` if that version is named; an outdated latest one is not
        applied.
        """
        found = await self._find(tenant, job, wanted)
        if found is None and wanted is not None:
            raise no_such_version(wanted)
        if found is None or not found.version.outdated:
            return found
        if wanted is not None:
            raise RefusedError("edits_outdated", "")
        return None

    async def add(self, caller: Caller, job_id: str, new: NewEdits) -> EditVersion:
        """Add a version. A repeat of the newest one changes nothing.

        RefusedError `invalid_edits` if the transcript does not have what is changed, `edit_conflict`; LimitError
        `too_many_renders`.
        """
        job = await self._jobs.get_results(caller.tenant, job_id)
        edits_json = msgspec.json.encode(await self._fitted(caller.tenant, job, new.edits))
        async with locked_job(self._database, caller.tenant, job_id) as (connection, row):
            if results_generation(row) != job.results_generation:
                raise RefusedError(
                    "edit_conflict", "The speakers were found again meanwhile. Read the transcript again."
                )
            latest = await connection.fetchrow(LATEST, job.job_id)
            if _repeats(latest, new.base_version, edits_json, job):
                return _version(latest, job.text_generation)
            _require_base(latest, new.base_version)
            saved = await _add(connection, job, caller.key_id, new.base_version + 1, edits_json)
        log.info("transcript_edited", job_id=job_id, version=saved["version"], changes=saved["changes"])
        return _version(saved, job.text_generation)

    async def _find(self, tenant: str, job: JobResults, version: int | None) -> FoundEdits | None:
        row = await self._database.read(
            lambda connection: connection.fetchrow(ONE_VERSION, tenant, job.job_id, version), tenant
        )
        if row is None:
            return None
        edits = msgspec.json.decode(row["edits"], type=TranscriptEdits)
        is_elsewhere = row["generation"] != job.results_generation
        return FoundEdits(_version(row, job.text_generation), Overlay(edits=edits, is_elsewhere=is_elsewhere))

    async def _fitted(self, tenant: str, job: JobResults, edits: TranscriptEdits) -> TranscriptEdits:
        digest = hashlib.sha256(msgspec.json.encode(edits)).hexdigest()
        said = await self._render(tenant, job, "fit", digest, Overlay(edits=edits))
        fitted = msgspec.json.decode(said, type=Fitted)
        if fitted.misfit:
            raise RefusedError("invalid_edits", fitted.misfit)
        return fitted.edits

    async def _addressed(self, tenant: str, job: JobResults, found: FoundEdits) -> TranscriptEdits:
        """Return edits as they address the transcript that is served, or as they are if they do not apply to it."""
        if not found.overlay.is_elsewhere or found.version.outdated or job.results_generation is None:
            return found.overlay.edits
        moved = await self._render(tenant, job, "move", found.key, found.overlay)
        return msgspec.json.decode(moved, type=TranscriptEdits)

    async def _render(self, tenant: str, job: JobResults, form: EditsForm, key: str, overlay: Overlay) -> bytes:
        blob = await find_transcript(self._blobs, job)
        return await self._renders.get(tenant, RenderKey(blob, str(job.job_id), form, CueSize(), key), overlay)


def no_such_version(version: int) -> RefusedError:
    """Return the refusal for a version that does not exist, or was dropped."""
    return RefusedError("edits_not_found", f"The job has no version {version} of edits. List the versions.")


def _version(row: Any, text_generation: int) -> EditVersion:
    return EditVersion(
        version=row["version"],
        created_at=row["created_at"],
        author=row["key_id"],
        changes=row["changes"],
        outdated=row["text_generation"] != text_generation,
    )


def _repeats(latest: Any, base_version: int, edits_json: bytes, job: JobResults) -> bool:
    """Return whether the newest version is the wanted one: the answer to the first request was lost."""
    if latest is None or latest["version"] != base_version + 1:
        return False
    is_same_text = latest["generation"] == job.results_generation
    return is_same_text and bool(latest["edits"].encode() == edits_json)


def _require_base(latest: Any, base_version: int) -> None:
    """Raise RefusedError unless the client has changed the newest version."""
    newest = latest["version"] if latest else 0
    if newest != base_version:
        raise RefusedError("edit_conflict", f"The newest version is {newest}. Read it, and send its changes and yours.")


async def _add(connection: Any, job: JobResults, key_id: str | None, version: int, edits_json: bytes) -> Any:
    changes = msgspec.json.decode(edits_json, type=TranscriptEdits).changes
    of_job: tuple[UUID, int, int | None, int] = (job.job_id, version, job.results_generation, job.text_generation)
    saved = await connection.fetchrow(ADD, *of_job, key_id, changes, len(edits_json), edits_json.decode())
    await connection.execute(DROP_OLDEST, job.job_id, MAX_VERSIONS, MAX_BYTES)
    return saved
