"""The webhook endpoints of a tenant: each receives the events of all its jobs, signed with a secret of its own.

The ingest writes URLs and secrets and never reads one.
"""

import base64
import datetime as dt
import secrets
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

from ingest_service.auth.webhook_secrets import MAX_VALID, NewWebhookSecret, Rotation
from ingest_service.database import Database
from ingest_service.errors import RefusedError
from ingest_service.jobs.webhook_tests import checked_host
from ingest_service.quotas.bounds import bound_reached
from shared.ids import new_id, parse_id
from shared.schemas.webhook_events import EventType
from shared.schemas.webhooks import ALL_EVENTS, Contents, Events, WebhookUrl
from shared.secret import repr_hiding
from shared.telemetry.logs import Log

log = Log(__name__)

MAX_ENDPOINTS = 16  # of a tenant: each event of a job becomes a task for each
SECRET_BYTES = 32

LOCK_ENDPOINTS = "SELECT pg_advisory_xact_lock(x'77686570'::int, hashtext($1))"
COUNT_ENDPOINTS = "SELECT count(*) FROM webhook_endpoints WHERE tenant = $1"
SHOWN = "id, host, events, contents, enabled, description, created_at, failing_since, paused_at, paused_reason"
ADD_ENDPOINT = f"""
    INSERT INTO webhook_endpoints (id, tenant, url, host, events, contents, enabled, description)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING {SHOWN}
"""  # noqa: S608 - constants
ADD_NEWEST = """
    INSERT INTO webhook_endpoint_secrets (endpoint_id, tenant, secret) VALUES ($1, $2, $3) RETURNING created_at
"""
LIST_ENDPOINTS = f"SELECT {SHOWN} FROM webhook_endpoints WHERE tenant = $1 ORDER BY created_at, id"  # noqa: S608 - constants
READ_ENDPOINT = f"SELECT {SHOWN} FROM webhook_endpoints WHERE tenant = $1 AND id = $2"  # noqa: S608 - constants
LOCK_ENDPOINT = "SELECT id FROM webhook_endpoints WHERE tenant = $1 AND id = $2 FOR UPDATE"
MOVE_ENDPOINT = "UPDATE webhook_endpoints SET url = $3, host = $4 WHERE tenant = $1 AND id = $2"
# To enable an endpoint, or to give it another URL, ends a pause.
CHANGE_ENDPOINT = f"""
    UPDATE webhook_endpoints SET events = coalesce($3, events), contents = coalesce($4, contents),
        enabled = coalesce($5, enabled), description = coalesce($6, description),
        failing_since = CASE WHEN NOT $7 THEN failing_since END,
        paused_at = CASE WHEN NOT $7 THEN paused_at END, paused_reason = CASE WHEN NOT $7 THEN paused_reason END
    WHERE tenant = $1 AND id = $2 RETURNING {SHOWN}
"""  # noqa: S608 - constants
DELETE_ENDPOINT = "DELETE FROM webhook_endpoints WHERE tenant = $1 AND id = $2 RETURNING id"
END_SECRETS = """
    DELETE FROM webhook_endpoint_secrets WHERE tenant = $1 AND endpoint_id = $2 AND (expires_at <= now() OR $3)
"""
COUNT_SECRETS = "SELECT count(*) FROM webhook_endpoint_secrets WHERE tenant = $1 AND endpoint_id = $2"
LIMIT_NEWEST = """
    UPDATE webhook_endpoint_secrets SET expires_at = now() + make_interval(secs => $3)
    WHERE tenant = $1 AND endpoint_id = $2 AND expires_at IS NULL RETURNING expires_at
"""

Description = Annotated[
    str,
    msgspec.Meta(
        max_length=200,
        pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)",
        description="text of at most 200 characters, without control characters",
    ),
]


class NewEndpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v1/webhooks/endpoints`."""

    url: WebhookUrl
    events: Events = msgspec.field(default_factory=lambda: ALL_EVENTS)
    contents: Contents = "thin"
    enabled: bool = True
    description: Description = ""

    def __repr__(self) -> str:
        return repr_hiding(self, "url")  # it may contain a token


class EndpointChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `PATCH /v1/webhooks/endpoints/{endpoint_id}`. A field that is left out, or null, stays."""

    url: WebhookUrl | None = None
    events: Events | None = None
    contents: Contents | None = None
    enabled: bool | None = None
    description: Description | None = None

    def __repr__(self) -> str:
        return repr_hiding(self, "url")  # it may contain a token


class WebhookEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint. Of its URL, only the host is shown. `paused`: the service sends nothing until it is resumed."""

    endpoint_id: str
    host: str
    events: tuple[EventType, ...]
    contents: Contents
    enabled: bool
    description: str
    state: Literal["enabled", "disabled", "paused"]
    created_at: dt.datetime
    failing_since: dt.datetime | None  # the first failed attempt since the last delivery
    paused_at: dt.datetime | None
    paused_reason: str | None


class CreatedEndpoint(WebhookEndpoint, frozen=True, kw_only=True):
    """A new endpoint. `secret` is shown only here."""

    secret: str

    def __repr__(self) -> str:
        return repr_hiding(self, "secret")


class EndpointList(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant's endpoints, oldest first."""

    endpoints: tuple[WebhookEndpoint, ...]


async def create_endpoint(database: Database, tenant: str, wanted: NewEndpoint) -> CreatedEndpoint:
    """Register an endpoint. RefusedError `invalid_option`; LimitError at MAX_ENDPOINTS; OutageError."""
    host, secret = checked_host(wanted.url), _new_secret()
    async with database.transaction(tenant) as connection:
        await connection.execute(LOCK_ENDPOINTS, tenant)
        if await connection.fetchval(COUNT_ENDPOINTS, tenant) >= MAX_ENDPOINTS:
            raise bound_reached("webhook_endpoints", MAX_ENDPOINTS)
        chosen = _unique(wanted.events), wanted.contents, wanted.enabled, wanted.description
        row = await connection.fetchrow(ADD_ENDPOINT, new_id(), tenant, wanted.url, host, *chosen)
        await connection.execute(ADD_NEWEST, row["id"], tenant, secret)
    log.info("webhook_endpoint_created", tenant=tenant, host=host)
    return CreatedEndpoint(**_fields(row), secret=secret)


async def list_endpoints(database: Database, tenant: str) -> EndpointList:
    """Return all endpoints: they are few. Raises OutageError."""
    rows = await database.read(lambda connection: connection.fetch(LIST_ENDPOINTS, tenant), tenant)
    return EndpointList(endpoints=tuple(WebhookEndpoint(**_fields(row)) for row in rows))


async def read_endpoint(database: Database, tenant: str, endpoint_id: str) -> WebhookEndpoint:
    """Return an endpoint. Raise RefusedError `not_found` or OutageError."""
    arguments = tenant, endpoint_key(endpoint_id)
    row = await database.read(lambda connection: connection.fetchrow(READ_ENDPOINT, *arguments), tenant)
    return WebhookEndpoint(**_fields(_found(row)))


async def change_endpoint(database: Database, tenant: str, endpoint_id: str, wanted: EndpointChange) -> WebhookEndpoint:
    """Change an endpoint. Raise RefusedError `not_found` or `invalid_option`, and OutageError."""
    key, resumes = endpoint_key(endpoint_id), bool(wanted.enabled) or wanted.url is not None
    host = None if wanted.url is None else checked_host(wanted.url)
    async with database.transaction(tenant) as connection:
        if wanted.url is not None:
            await connection.execute(MOVE_ENDPOINT, tenant, key, wanted.url, host)
        events = None if wanted.events is None else _unique(wanted.events)
        chosen = events, wanted.contents, wanted.enabled, wanted.description
        row = _found(await connection.fetchrow(CHANGE_ENDPOINT, tenant, key, *chosen, resumes))
    log.info("webhook_endpoint_changed", tenant=tenant, endpoint_id=endpoint_id, enabled=row["enabled"])
    return WebhookEndpoint(**_fields(row))


async def delete_endpoint(database: Database, tenant: str, endpoint_id: str) -> None:
    """Delete an endpoint with its secrets. Its open deliveries are dropped. RefusedError `not_found`; OutageError."""
    async with database.transaction(tenant) as connection:
        _found(await connection.fetchrow(DELETE_ENDPOINT, tenant, endpoint_key(endpoint_id)))
    log.info("webhook_endpoint_deleted", tenant=tenant, endpoint_id=endpoint_id)


async def rotate_endpoint_secret(
    database: Database, tenant: str, endpoint_id: str, rotation: Rotation
) -> NewWebhookSecret:
    """Make a secret; the one before signs in addition for a while. RefusedError `not_found`, `too_many_secrets`."""
    key, secret, valid_s = endpoint_key(endpoint_id), _new_secret(), rotation.previous_valid_s
    async with database.transaction(tenant) as connection:
        _found(await connection.fetchrow(LOCK_ENDPOINT, tenant, key))
        await connection.execute(END_SECRETS, tenant, key, valid_s == 0)
        if await connection.fetchval(COUNT_SECRETS, tenant, key) >= MAX_VALID:
            detail = f"{MAX_VALID} secrets are valid. Wait until one ends, or end them with `previous_valid_s` 0."
            raise RefusedError("too_many_secrets", detail)
        until = await connection.fetchval(LIMIT_NEWEST, tenant, key, float(valid_s))
        created_at = await connection.fetchval(ADD_NEWEST, key, tenant, secret)
    log.info("webhook_endpoint_secret_rotated", tenant=tenant, endpoint_id=endpoint_id, previous_valid_s=valid_s)
    return NewWebhookSecret(secret=secret, created_at=created_at, previous_valid_until=until)


def endpoint_key(endpoint_id: str) -> UUID:
    """Return the id. Raise RefusedError `not_found` for text that is none."""
    if parsed := parse_id(endpoint_id):
        return parsed
    raise _no_such_endpoint()


def _found(row: Any) -> Any:
    if row is None:
        raise _no_such_endpoint()
    return row


def _no_such_endpoint() -> RefusedError:
    return RefusedError("not_found", "There is no webhook endpoint with this id.")


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def _unique(events: tuple[EventType, ...]) -> list[str]:
    return list(dict.fromkeys(events))


def _fields(row: Any) -> dict[str, Any]:
    fields = {name: value for name, value in row.items() if name != "id"}
    state = "paused" if row["paused_at"] else "enabled"
    return fields | {
        "endpoint_id": str(row["id"]),
        "events": tuple(map(EventType, row["events"])),
        "state": state if row["enabled"] else "disabled",
    }
