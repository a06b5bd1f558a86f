"""Keeps the lists of webhook attempts: deletes old test events, and names the tenants of attempts of old versions."""

import asyncpg

from shared.schemas.webhook_events import TEST_KEPT_S

ROWS_A_BATCH = 5000

OLD_TESTS = f"created_at < now() - interval '{TEST_KEPT_S} s'"
FORGET_TESTS = f"DELETE FROM webhook_tests WHERE {OLD_TESTS}"  # noqa: S608 - constants

# A version before migration 0027 inserts attempts without a tenant. The list of a tenant does not show them.
NAME_TENANTS = """
UPDATE webhook_attempts a SET tenant = j.tenant
FROM (SELECT id FROM webhook_attempts WHERE tenant IS NULL ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED) AS unnamed,
    webhook_events e JOIN jobs j ON j.id = e.job_id
WHERE a.id = unnamed.id AND e.id = a.event_id
"""


async def keep_webhook_log(connection: asyncpg.Connection) -> None:
    """Delete old tests, and name the tenants of one batch of attempts."""
    await connection.execute(FORGET_TESTS)
    await connection.execute(NAME_TENANTS, ROWS_A_BATCH)
