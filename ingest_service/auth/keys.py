"""Makes, lists and revokes keys of one tenant, on a connection of the caller's.

Two keys of a tenant may live for one purpose, which is how a key is rotated: make the second, change over, revoke the
first. Whoever makes one holds the tenant's row, so that two requests at once do not make a third.
"""

from typing import Any

from ingest_service.auth.api_key import is_key_id, make_key
from ingest_service.auth.key_views import ApiKeyList, ApiKeyView, CreatedApiKey, NewApiKey, facts_of
from ingest_service.errors import RefusedError
from shared.telemetry.logs import Log

log = Log(__name__)

MOST_OF_A_PURPOSE = 2
MOST_OF_A_TENANT = 200
DAY_S = 86_400

LOCK_TENANT = "SELECT name FROM tenants WHERE name = $1 FOR UPDATE"
COUNT_LIVE = """
    SELECT count(*) FILTER (WHERE purpose = $2) AS of_purpose, count(*) AS of_tenant FROM api_keys
    WHERE tenant = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
"""
CREATE = """
    INSERT INTO api_keys (id, tenant, purpose, digest, scopes, expires_at)
    VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6))
    RETURNING id, purpose, scopes, created_at, expires_at, revoked_at
"""
KEYS = """
    SELECT id, purpose, scopes, created_at, expires_at, revoked_at FROM api_keys WHERE tenant = $1
    ORDER BY revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()) DESC, created_at DESC, id LIMIT 400
"""
REVOKE = "UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE tenant = $1 AND id = $2 RETURNING id"


async def create_key(connection: Any, tenant: str, wanted: NewApiKey) -> CreatedApiKey:
    """A new key, once the caller's transaction is committed. RefusedError `too_many_keys` or `not_found`."""
    if await connection.fetchval(LOCK_TENANT, tenant) is None:
        raise RefusedError("not_found", "There is no such tenant.")
    live = await connection.fetchrow(COUNT_LIVE, tenant, wanted.purpose)
    if live["of_purpose"] >= MOST_OF_A_PURPOSE:
        detail = f"{MOST_OF_A_PURPOSE} keys live for the purpose `{wanted.purpose}`; revoke one of them first."
        raise RefusedError("too_many_keys", detail)
    if live["of_tenant"] >= MOST_OF_A_TENANT:
        raise RefusedError("too_many_keys", f"A tenant may have {MOST_OF_A_TENANT} keys that live.")
    key = make_key()
    scopes = sorted(set(wanted.scopes))
    left_s = None if wanted.expires_days is None else float(wanted.expires_days * DAY_S)
    row = await connection.fetchrow(CREATE, key.key_id, tenant, wanted.purpose, key.digest, scopes, left_s)
    log.info("api_key_created", tenant=tenant, key_id=key.key_id, purpose=wanted.purpose, scopes=" ".join(scopes))
    return CreatedApiKey(key=key.text, **facts_of(row))


async def list_keys(connection: Any, tenant: str) -> ApiKeyList:
    """The tenant's keys, without what is secret."""
    return ApiKeyList(keys=tuple(ApiKeyView(**facts_of(row)) for row in await connection.fetch(KEYS, tenant)))


async def revoke_key(connection: Any, tenant: str, key_id: str) -> None:
    """End a key; once more is no error. RefusedError `not_found`. All processes hear of it at the commit."""
    if not is_key_id(key_id) or await connection.fetchval(REVOKE, tenant, key_id) is None:
        raise RefusedError("not_found", "There is no such key.")
    log.info("api_key_revoked", tenant=tenant, key_id=key_id)
