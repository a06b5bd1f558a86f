"""Tenants and keys as the operator creates them, and an ingest that requires keys."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from ingest_service.auth.__main__ import CREATE_TENANT
from ingest_service.auth.api_keys import CreatedApiKey, NewApiKey, create_key
from ingest_service.auth.caller import Scope
from ingest_service.settings import IngestSettings
from tests.support.ingest.serving import Ingest, serving
from tests.support.servers import as_owner

EVERYTHING = tuple(Scope)
WAV_TYPE = {"Content-Type": "audio/wav"}


async def new_key(
    settings: IngestSettings,
    tenant: str,
    *scopes: Scope,
    purpose: str = "default",
    expires_days: int | None = None,
    operates: bool = False,
) -> CreatedApiKey:
    """Create a key, by default with all scopes, and its tenant if it is new."""
    wanted = NewApiKey(scopes=list(scopes or EVERYTHING), purpose=purpose, expires_days=expires_days)
    connection = await asyncpg.connect(as_owner(settings.database_url.reveal()))
    try:
        async with connection.transaction():
            await connection.execute(CREATE_TENANT, tenant)
            return await create_key(connection, tenant, wanted, operates=operates)
    finally:
        await connection.close()


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@asynccontextmanager
async def guarded(settings: IngestSettings, **changes: Any) -> AsyncIterator[Ingest]:
    """An ingest that requires keys."""
    async with serving(settings, auth="required", **changes) as ingest:
        yield ingest


async def status_of(ingest: Ingest, key: str, path: str = "/v1/jobs") -> int:
    """The status of a GET with that key."""
    async with ingest.client.get(ingest.url + path, headers=bearer(key)) as answer:
        return answer.status
