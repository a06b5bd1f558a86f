"""Reads the backlog for `/metrics`: an ingest tells it too, as there may be no processor to do so."""

from collections.abc import Mapping, Sequence
from typing import Any

from ingest_service.database import Database
from ingest_service.errors import OutageError
from shared.connections.tenancy import ALL_TENANTS
from shared.telemetry.backlog import BacklogReader


def backlog_of(database: Database) -> BacklogReader:
    """The backlog that a database tells of."""

    async def rows(query: str) -> Sequence[Mapping[str, Any]] | None:
        try:
            async with database.reading(ALL_TENANTS) as connection:
                found: Sequence[Mapping[str, Any]] = await connection.fetch(query)
        except OutageError:
            return None
        return found

    return BacklogReader(rows)
