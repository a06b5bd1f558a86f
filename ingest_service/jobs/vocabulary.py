"""The vocabulary of a tenant: key terms and replacements of all its jobs. A job has the version of its submission."""

import datetime as dt
from typing import Any

import msgspec

from ingest_service.database import Database
from ingest_service.errors import RefusedError
from shared.schemas.key_terms import Vocabulary

MAX_BYTES = 64 << 10  # as JSON: each task of a job reads it
MAX_VERSIONS = 10  # kept, for jobs that are not done

NEWEST = "SELECT content, created_at FROM vocabularies WHERE tenant = $1 ORDER BY created_at DESC LIMIT 1"
ADD = "INSERT INTO vocabularies (tenant, content) VALUES ($1, $2) RETURNING created_at"
FORGET_OLD = """
    DELETE FROM vocabularies WHERE tenant = $1 AND created_at < (
        SELECT min(created_at) FROM (
            SELECT created_at FROM vocabularies WHERE tenant = $1 ORDER BY created_at DESC LIMIT $2) kept)
"""
FORGET = "DELETE FROM vocabularies WHERE tenant = $1"


class NewVocabulary(Vocabulary, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The body of `PUT /v1/vocabulary`."""


class VocabularyView(msgspec.Struct, frozen=True, kw_only=True):
    """The vocabulary of a tenant. `updated_at`: null if there is none."""

    keyterms: tuple[str, ...]
    replacements: dict[str, str]
    updated_at: dt.datetime | None


async def read_vocabulary(database: Database, tenant: str) -> VocabularyView:
    """Return the newest vocabulary, or an empty one."""
    async with database.reading(tenant) as connection:
        row = await connection.fetchrow(NEWEST, tenant)
    return _view(row["content"], row["created_at"]) if row else _view("{}", None)


async def put_vocabulary(connection: Any, tenant: str, new: NewVocabulary) -> VocabularyView:
    """Replace the vocabulary for later jobs. RefusedError `invalid_parameter`."""
    content = msgspec.json.encode(new).decode()
    if len(content.encode()) > MAX_BYTES:
        raise RefusedError("invalid_parameter", f"The vocabulary may have at most {MAX_BYTES} bytes as JSON.")
    before = await connection.fetchrow(NEWEST, tenant)
    if before is not None and before["content"] == content:
        return _view(content, before["created_at"])
    created_at = await connection.fetchval(ADD, tenant, content)
    await connection.execute(FORGET_OLD, tenant, MAX_VERSIONS)
    return _view(content, created_at)


async def forget_vocabulary(connection: Any, tenant: str) -> None:
    """Delete all versions: jobs that wait do not use them either."""
    await connection.execute(FORGET, tenant)


def _view(content: str, updated_at: dt.datetime | None) -> VocabularyView:
    stored = msgspec.json.decode(content, type=Vocabulary)
    return VocabularyView(keyterms=stored.keyterms, replacements=stored.replacements, updated_at=updated_at)
