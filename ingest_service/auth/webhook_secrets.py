"""Rotates the webhook secret of a tenant, on the caller's connection. The ingest writes secrets and never reads one.

The secrets that were valid before sign in addition for a while, so that receivers can change to the new one.
"""

import base64
import datetime as dt
import secrets
from typing import Annotated, Any

import msgspec

from ingest_service.errors import RefusedError
from shared.secret import repr_hiding
from shared.telemetry.logs import Log

log = Log(__name__)

SECRET_BYTES = 32
DAY_S = 86_400
MAX_PREVIOUS_VALID_S = 7 * DAY_S
MAX_VALID = 3  # signatures of a webhook: also when the answer of a rotation was lost and it is repeated

LOCK_TENANT = "SELECT name FROM tenants WHERE name = $1 FOR UPDATE"
FORGET_ENDED = "DELETE FROM webhook_secrets WHERE tenant = $1 AND (expires_at <= now() OR $2)"
COUNT_VALID = "SELECT count(*) FROM webhook_secrets WHERE tenant = $1"
KEEP_SERVICE = "INSERT INTO webhook_secrets (tenant, expires_at) VALUES ($1, now())"
LIMIT_PREVIOUS = """
    UPDATE webhook_secrets SET expires_at = now() + make_interval(secs => $2)
    WHERE tenant = $1 AND (expires_at IS NULL OR expires_at = now())
    RETURNING expires_at
"""
ADD = "INSERT INTO webhook_secrets (tenant, secret) VALUES ($1, $2) RETURNING created_at"


class Rotation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v1/webhooks/secret/rotate`."""

    previous_valid_s: Annotated[int, msgspec.Meta(ge=0, le=MAX_PREVIOUS_VALID_S)] = DAY_S  # 0: no other secret is valid


class NewWebhookSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A new webhook secret. `secret` is shown only here. Times are UTC."""

    secret: str
    created_at: dt.datetime
    previous_valid_until: dt.datetime | None  # until then, the secret before signs, too

    def __repr__(self) -> str:
        return repr_hiding(self, "secret")


async def rotate_secret(connection: Any, tenant: str, rotation: Rotation) -> NewWebhookSecret:
    """Make a secret; it signs after the caller's commit. RefusedError `too_many_secrets` or `not_found`."""
    if await connection.fetchval(LOCK_TENANT, tenant) is None:
        raise RefusedError("not_found", "Tenant not found.")
    await connection.execute(FORGET_ENDED, tenant, rotation.previous_valid_s == 0)
    until = await _limit_previous(connection, tenant, rotation.previous_valid_s) if rotation.previous_valid_s else None
    text = "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
    created_at = await connection.fetchval(ADD, tenant, text)
    log.info("webhook_secret_rotated", tenant=tenant, previous_valid_s=rotation.previous_valid_s)
    return NewWebhookSecret(secret=text, created_at=created_at, previous_valid_until=until)


async def _limit_previous(connection: Any, tenant: str, valid_s: int) -> dt.datetime | None:
    """Let the newest secret end. A tenant without one had the service's."""
    valid = await connection.fetchval(COUNT_VALID, tenant)
    if valid >= MAX_VALID:
        detail = f"{MAX_VALID} secrets are valid. Wait until one ends, or end them with `previous_valid_s` 0."
        raise RefusedError("too_many_secrets", detail)
    if valid == 0:
        await connection.execute(KEEP_SERVICE, tenant)
    until: dt.datetime | None = await connection.fetchval(LIMIT_PREVIOUS, tenant, float(valid_s))
    return until
