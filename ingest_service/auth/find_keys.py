"""Asks the record for keys by their ids: those that are good now, whoever's they are."""

from collections.abc import Mapping, Sequence
from typing import Any

from ingest_service.auth.caller import Caller, Scope
from ingest_service.auth.key_cache import LiveKey
from ingest_service.database import Database
from shared.connections.tenancy import ALL_TENANTS

# Of all tenants: whose it is, is what is asked.
LIVE_KEYS = """
    SELECT id, tenant, digest, scopes, extract(epoch FROM expires_at - now())::float AS left_s
    FROM api_keys
    WHERE id = ANY($1::text[]) AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
"""


class KeyFinder:
    """Reads keys; raises OutageError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, key_ids: Sequence[str]) -> Mapping[str, LiveKey]:
        async with self._database.reading(ALL_TENANTS) as connection:
            rows = await connection.fetch(LIVE_KEYS, key_ids)
        return {row["id"]: _live_key(row) for row in rows}


def _live_key(row: Any) -> LiveKey:
    scopes = frozenset(Scope(scope) for scope in row["scopes"])
    caller = Caller(tenant=row["tenant"], scopes=scopes, key_id=row["id"])
    return LiveKey(digest=row["digest"], caller=caller, left_s=row["left_s"])
