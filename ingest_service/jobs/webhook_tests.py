"""Test events: a tenant has one sent to a URL, and reads what the endpoint answered. The processor sends it, once."""

import datetime as dt
from typing import Any
from uuid import UUID

import msgspec

from ingest_service.database import Database
from ingest_service.errors import RefusedError
from ingest_service.quotas.bounds import bound_reached
from ingest_service.uploads.parse_options import invalid_option
from shared.allowed_values import allowed
from shared.ids import new_id, parse_id
from shared.schemas.called_urls import shown_host, why_never_called
from shared.schemas.webhook_attempts import WebhookTest
from shared.schemas.webhook_events import TEST_KEPT_S, id_of_test
from shared.schemas.webhooks import WebhookUrl
from shared.secret import repr_hiding
from shared.telemetry.logs import Log

log = Log(__name__)

MAX_TESTS_AN_HOUR = 60  # of a tenant: each is a request to any URL
LOST_AFTER_S = 120  # of an attempt without a result; a webhook's timeout is shorter
NO_RESULT = "The processor stopped before the endpoint answered. The event may have arrived. Send another one."

LOCK = "SELECT pg_advisory_xact_lock(x'77687473'::int, hashtext($1))"
COUNT = "SELECT count(*) FROM webhook_tests WHERE tenant = $1 AND created_at > now() - make_interval(secs => $2)"
ADD = """
    INSERT INTO webhook_tests (id, tenant, url, host, endpoint_id) VALUES ($1, $2, $3, $4, $5)
    RETURNING id, host, created_at, attempted_at, duration_ms, status, error, answer, false AS is_lost
"""
HOST_OF_ENDPOINT = "SELECT host FROM webhook_endpoints WHERE tenant = $1 AND id = $2"
READ = """
    SELECT id, host, created_at, attempted_at, duration_ms, status, error, answer,
           coalesce(attempted_at < now() - make_interval(secs => $4), false) AS is_lost
    FROM webhook_tests WHERE tenant = $1 AND id = $2 AND created_at > now() - make_interval(secs => $3)
"""


class NewWebhookTest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v1/webhooks/test`."""

    url: str

    def __repr__(self) -> str:
        return repr_hiding(self, "url")  # it may contain a token


async def request_test(database: Database, tenant: str, url: str) -> WebhookTest:
    """Have a test event sent. Raise RefusedError `invalid_option`, LimitError after MAX_TESTS_AN_HOUR, OutageError."""
    host = checked_host(url)
    async with database.transaction(tenant) as connection:
        return await _request(connection, tenant, host, url=url)


async def request_endpoint_test(database: Database, tenant: str, endpoint_id: str) -> WebhookTest:
    """Have a test event sent to an endpoint of the tenant; the processor knows its URL and secrets.

    Raise RefusedError `not_found`, LimitError after MAX_TESTS_AN_HOUR, OutageError.
    """
    parsed = parse_id(endpoint_id)
    async with database.transaction(tenant) as connection:
        host = await connection.fetchval(HOST_OF_ENDPOINT, tenant, parsed) if parsed else None
        if host is None:
            raise RefusedError("not_found", "There is no webhook endpoint with this id.")
        return await _request(connection, tenant, host, endpoint_id=parsed)


async def _request(
    connection: Any, tenant: str, host: str, *, url: str = "", endpoint_id: UUID | None = None
) -> WebhookTest:
    await connection.execute(LOCK, tenant)
    if await connection.fetchval(COUNT, tenant, TEST_KEPT_S) >= MAX_TESTS_AN_HOUR:
        raise bound_reached("webhook_tests_an_hour", MAX_TESTS_AN_HOUR)
    row = await connection.fetchrow(ADD, new_id(), tenant, url, host, endpoint_id)
    log.info("webhook_test_requested", tenant=tenant, host=host)
    return _view(row)


async def read_test(database: Database, tenant: str, test_id: str) -> WebhookTest:
    """Return a test and its result. Raise RefusedError `not_found`, an hour after the request too."""
    row = None
    if parsed := parse_id(test_id):
        arguments = (tenant, UUID(int=parsed.int), TEST_KEPT_S, float(LOST_AFTER_S))
        row = await database.read(lambda connection: connection.fetchrow(READ, *arguments), tenant)
    if row is None:
        raise RefusedError("not_found", "There is no test with this id. A test is kept for an hour.")
    return _view(row)


def checked_host(url: str) -> str:
    """Check the URL as the option `webhook_url` of a job, and return its host. The processor checks its address."""
    try:
        msgspec.convert(url, WebhookUrl)
    except msgspec.ValidationError as error:
        raise invalid_option("url", f"must be {allowed(WebhookUrl)}") from error
    if problem := why_never_called(url):
        raise invalid_option("url", problem)
    return shown_host(url) or ""


def _view(row: Any) -> WebhookTest:
    return WebhookTest(
        test_id=str(row["id"]),
        event_id=id_of_test(row["id"]),
        host=row["host"],
        state=_state(row),
        created_at=row["created_at"],
        expires_at=row["created_at"] + dt.timedelta(seconds=TEST_KEPT_S),
        attempted_at=row["attempted_at"],
        duration_ms=row["duration_ms"],
        status=row["status"],
        error=NO_RESULT if _is_lost(row) else row["error"],
        answer=row["answer"],
    )


def _state(row: Any) -> Any:
    if row["attempted_at"] is None:
        return "waiting"
    if row["duration_ms"] is None:
        return "failed" if row["is_lost"] else "sending"
    return "failed" if row["error"] else "delivered"


def _is_lost(row: Any) -> bool:
    return row["duration_ms"] is None and bool(row["is_lost"])
