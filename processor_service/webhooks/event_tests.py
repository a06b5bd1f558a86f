"""Sends the test events that tenants request, each once, with the guard, shares and limits of every delivery.

The database is the queue: requests are few, and bounded by tenant. The claim is committed before the request, so that
no other processor sends the event again. A test whose processor dies in between has no result.
"""

import asyncio
import contextlib
import datetime as dt
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import asyncpg

from processor_service.outbound.exact_url import exact_url
from processor_service.outbound.shares import Shares
from processor_service.settings import ProcessorSettings
from processor_service.webhooks.deliver import send_event
from processor_service.webhooks.delivery_result import Answer, Result, failure_of_result
from processor_service.webhooks.read_event import Event
from processor_service.webhooks.send import shares_of
from shared.run_beside import end
from shared.schemas.webhook_events import body_of_test, id_of_test
from shared.secret import Secret
from shared.telemetry.logs import Log

log = Log(__name__)

AT_ONCE = 8  # of a process, besides its deliveries
READ_AT_ONCE = 500

# The oldest of each tenant come first, so that the tests of slow hosts do not hide those of other tenants.
TO_SEND = """
SELECT id, tenant, host FROM (
    SELECT id, tenant, host, created_at, row_number() OVER (PARTITION BY tenant ORDER BY created_at) AS turn
    FROM webhook_tests WHERE attempted_at IS NULL
) AS waiting ORDER BY turn, created_at LIMIT $1
"""
CLAIM = """
UPDATE webhook_tests t SET attempted_at = now() WHERE id = $1 AND attempted_at IS NULL
RETURNING created_at, attempted_at, endpoint_id,
    coalesce((SELECT p.url FROM webhook_endpoints p WHERE p.id = t.endpoint_id AND p.tenant = t.tenant), url) AS url,
    CASE WHEN endpoint_id IS NULL THEN ARRAY(
        SELECT coalesce(s.secret, '') FROM webhook_secrets s
        WHERE s.tenant = t.tenant AND (s.expires_at IS NULL OR s.expires_at > now())
        ORDER BY s.expires_at DESC
    ) ELSE ARRAY(
        SELECT s.secret FROM webhook_endpoint_secrets s
        WHERE s.endpoint_id = t.endpoint_id AND (s.expires_at IS NULL OR s.expires_at > now())
        ORDER BY s.expires_at DESC
    ) END AS tenant_secrets
"""
# A test that is delivered resumes its endpoint.
RESUME = """
UPDATE webhook_endpoints SET failing_since = NULL, paused_at = NULL, paused_reason = NULL
WHERE id = $1 AND (paused_at IS NOT NULL OR failing_since IS NOT NULL)
"""
COMPLETE = "UPDATE webhook_tests SET duration_ms = $2, status = $3, error = $4, answer = $5 WHERE id = $1"


class EventTester:
    """`run_once` of a maintenance loop: starts sending what was requested."""

    def __init__(self, pool: asyncpg.Pool, http: aiohttp.ClientSession, settings: ProcessorSettings) -> None:
        self._pool = pool
        self._http = http
        self._settings = settings
        self._host_shares = shares_of(http).hosts
        self._tenant_shares = Shares(AT_ONCE)
        self._sending: dict[Any, asyncio.Task[None]] = {}

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(
        cls, pool: asyncpg.Pool, http: aiohttp.ClientSession, settings: ProcessorSettings
    ) -> AsyncIterator["EventTester"]:
        """Stop sending at the end of the block: what was not answered by then has no result."""
        sender = cls(pool, http, settings)
        try:
            yield sender
        finally:
            await end([*sender._sending.values()])

    async def __call__(self, connection: asyncpg.Connection) -> None:
        """Start what fits into the shares. The rest waits for the next run, here or in another processor."""
        for row in await connection.fetch(TO_SEND, READ_AT_ONCE):
            if len(self._sending) >= AT_ONCE:
                return
            if row["id"] not in self._sending and self._has_room(row):
                self._start(row)

    async def sent(self) -> None:
        """Wait until all that was started has a result."""
        await asyncio.gather(*self._sending.values())

    def _has_room(self, row: Any) -> bool:
        return not self._tenant_shares.wait_s(row["tenant"]) and not self._host_shares.wait_s(row["host"])

    def _start(self, row: Any) -> None:
        counted = contextlib.ExitStack()  # from now on, so that the next row of the same run is not started beyond it
        counted.enter_context(self._tenant_shares.counted(row["tenant"]))
        counted.enter_context(self._host_shares.counted(row["host"]))
        self._sending[row["id"]] = asyncio.create_task(self._send(row["id"], counted))

    async def _send(self, test_id: Any, counted: contextlib.ExitStack) -> None:
        try:
            with counted:
                claimed = await self._pool.fetchrow(CLAIM, test_id)
                if claimed is not None:
                    await self._attempt(test_id, claimed)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            log.warning("webhook_test_not_recorded", test_id=str(test_id), error=f"{type(error).__name__}: {error}")
        finally:
            self._sending.pop(test_id, None)

    async def _attempt(self, test_id: Any, claimed: Any) -> None:
        event = _event(test_id, claimed)
        started_s = time.monotonic()
        result = await send_event(event, self._http, self._settings, at=claimed["attempted_at"])
        duration_s = time.monotonic() - started_s
        ended_at = claimed["attempted_at"] + dt.timedelta(seconds=duration_s)
        facts = _facts(result, ended_at)
        await self._pool.execute(COMPLETE, test_id, round(duration_s * 1000), *facts)
        if claimed["endpoint_id"] and facts[1] is None:
            await self._pool.execute(RESUME, claimed["endpoint_id"])
        log.info("webhook_test_sent", host=event.host, status=facts[0], error=facts[1])


def _event(test_id: Any, claimed: Any) -> Event:
    return Event(
        id=id_of_test(test_id),
        body=body_of_test(test_id, claimed["created_at"]),
        ordered_at=claimed["created_at"],
        url=exact_url(claimed["url"]),
        secret=None,
        tenant_secrets=tuple(map(Secret, claimed["tenant_secrets"])),
    )


def _facts(result: Result, ended_at: dt.datetime) -> tuple[int | None, str | None, str | None]:
    """Return the answer's status, why the event was not delivered, and the first bytes of the answer."""
    failure = failure_of_result(result, now=ended_at)
    answer = result if isinstance(result, Answer) else None
    return answer.status if answer else None, failure.message if failure else None, answer.text if answer else None
