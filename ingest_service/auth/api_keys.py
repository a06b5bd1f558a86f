"""Creates, lists and revokes the API keys of one tenant, on the caller's connection.

A tenant may have two live keys per purpose. To rotate a key, create the second, switch to it, revoke the first. The
creation locks the tenant's row, so that concurrent requests cannot create a third.
"""

import base64
import datetime as dt
import hashlib
import re
import secrets
from typing import Annotated, Any

import msgspec

from ingest_service.auth.caller import Scope
from ingest_service.errors import RefusedError
from shared.telemetry.logs import Log

log = Log(__name__)

PURPOSE = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
PURPOSE_FORM = "1 to 63 letters, digits, dots, underscores and hyphens, the first a letter or digit"
MAX_EXPIRES_DAYS = 3650


class NewApiKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v1/keys`."""

    scopes: Annotated[list[Scope], msgspec.Meta(min_length=1, max_length=len(Scope))]
    purpose: Annotated[str, msgspec.Meta(pattern=PURPOSE, description=PURPOSE_FORM)] = "default"
    expires_days: Annotated[int, msgspec.Meta(ge=1, le=MAX_EXPIRES_DAYS)] | None = None  # None: never

    def __post_init__(self) -> None:
        if not re.fullmatch(PURPOSE, self.purpose) or self.purpose.endswith("\n"):  # `$` accepts a trailing newline
            raise ValueError(f"`purpose` must be {PURPOSE_FORM}")


class ApiKeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its secret. Times are UTC."""

    key_id: str
    purpose: str
    scopes: list[Scope]
    created_at: dt.datetime
    expires_at: dt.datetime | None
    revoked_at: dt.datetime | None
    operates: bool = False  # the operator's: sees metrics and tracebacks of the whole service


class CreatedApiKey(ApiKeyView, frozen=True, kw_only=True):
    """A new key. `key` is shown only here."""

    key: str

    def __repr__(self) -> str:
        return f"CreatedApiKey({self.key_id!r}, …)"


class ApiKeyList(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant's keys: live ones first, then ended ones, each newest first."""

    keys: tuple[ApiKeyView, ...]


def key_fields(row: Any) -> dict[str, Any]:
    """The fields of an ApiKeyView in a row of CREATE or KEYS."""
    scopes = [Scope(scope) for scope in row["scopes"]]
    times = {name: row[name] for name in ("created_at", "expires_at", "revoked_at")}
    return {"key_id": row["id"], "purpose": row["purpose"], "scopes": scopes, "operates": row["operates"], **times}


# An API key is `hr_<id>_<secret>`; the secret is 32 random bytes. Only the SHA-256 is stored.

SECRET_BYTES = 32
ID_BYTES = 8
ID = re.compile("[0-9a-f]{16}")
KEY = re.compile(rb"hr_([0-9a-f]{16})_[A-Za-z0-9_-]{43}")


class NewKey(msgspec.Struct, frozen=True):
    """A new key; `text` is secret."""

    key_id: str
    text: str

    @property
    def digest(self) -> bytes:
        """The stored hash."""
        return digest_of(self.text.encode())

    def __repr__(self) -> str:
        return f"NewKey({self.key_id!r}, …)"


def make_key() -> NewKey:
    """Generate a random key."""
    key_id = secrets.token_hex(ID_BYTES)
    secret = base64.urlsafe_b64encode(secrets.token_bytes(SECRET_BYTES)).rstrip(b"=").decode()
    return NewKey(key_id, f"hr_{key_id}_{secret}")


def id_in(presented: bytes) -> str | None:
    """The id in a presented key; None if the key is malformed."""
    match = KEY.fullmatch(presented)
    return match[1].decode() if match else None


def is_key_id(text: str) -> bool:
    """Whether the text has the form of a key id."""
    return ID.fullmatch(text) is not None


def digest_of(presented: bytes) -> bytes:
    """SHA-256. 256 random bits need no slow hash, and a slow hash would cost CPU for each unknown key."""
    return hashlib.sha256(presented).digest()


MAX_KEYS_PER_PURPOSE = 2
MAX_KEYS_PER_TENANT = 200
MAX_KEYS_A_DAY = 1000  # of a tenant; revoked ones count, since their rows are kept
DAY_S = 86_400

LOCK_TENANT = "SELECT name FROM tenants WHERE name = $1 FOR UPDATE"
COUNT_LIVE = """
    SELECT count(*) FILTER (WHERE is_live AND purpose = $2) AS of_purpose, count(*) FILTER (WHERE is_live) AS of_tenant,
        count(*) FILTER (WHERE created_at > now() - interval '1 day') AS of_day
    FROM (
        SELECT purpose, created_at, revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()) AS is_live
        FROM api_keys WHERE tenant = $1
    ) AS keys
"""
CREATE = """
    INSERT INTO api_keys (id, tenant, purpose, digest, scopes, expires_at, operates)
    VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6), $7)
    RETURNING id, purpose, scopes, operates, created_at, expires_at, revoked_at
"""
KEYS = """
    SELECT id, purpose, scopes, operates, created_at, expires_at, revoked_at FROM api_keys WHERE tenant = $1
    ORDER BY revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()) DESC, created_at DESC, id LIMIT 400
"""
REVOKE = "UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE tenant = $1 AND id = $2 RETURNING id"


async def create_key(connection: Any, tenant: str, wanted: NewApiKey, *, operates: bool = False) -> CreatedApiKey:
    """Create a key; it is valid after the caller's commit. RefusedError `too_many_keys` or `not_found`."""
    if await connection.fetchval(LOCK_TENANT, tenant) is None:
        raise RefusedError("not_found", "Tenant not found.")
    live = await connection.fetchrow(COUNT_LIVE, tenant, wanted.purpose)
    if live["of_purpose"] >= MAX_KEYS_PER_PURPOSE:
        detail = (
            f"The purpose `{wanted.purpose}` already has {MAX_KEYS_PER_PURPOSE} live keys. Revoke one of them first."
        )
        raise RefusedError("too_many_keys", detail)
    if live["of_tenant"] >= MAX_KEYS_PER_TENANT:
        raise RefusedError("too_many_keys", f"A tenant may have {MAX_KEYS_PER_TENANT} live keys. Revoke one first.")
    if live["of_day"] >= MAX_KEYS_A_DAY:
        raise RefusedError("too_many_keys", f"A tenant may create {MAX_KEYS_A_DAY} keys a day. Try again tomorrow.")
    key = make_key()
    scopes = sorted(set(wanted.scopes))
    left_s = None if wanted.expires_days is None else float(wanted.expires_days * DAY_S)
    row = await connection.fetchrow(CREATE, key.key_id, tenant, wanted.purpose, key.digest, scopes, left_s, operates)
    log.info("api_key_created", tenant=tenant, key_id=key.key_id, purpose=wanted.purpose, scopes=" ".join(scopes))
    return CreatedApiKey(key=key.text, **key_fields(row))


async def list_keys(connection: Any, tenant: str) -> ApiKeyList:
    """The tenant's keys, without their secrets."""
    return ApiKeyList(keys=tuple(ApiKeyView(**key_fields(row)) for row in await connection.fetch(KEYS, tenant)))


async def revoke_key(connection: Any, tenant: str, key_id: str) -> None:
    """Revoke a key; a repeat is no error. RefusedError `not_found`. The commit notifies all processes."""
    if not is_key_id(key_id) or await connection.fetchval(REVOKE, tenant, key_id) is None:
        raise RefusedError("not_found", "API key not found. Use a `key_id` of `GET /v1/keys`.")
    log.info("api_key_revoked", tenant=tenant, key_id=key_id)
