"""Wake: tasks whose wait is over are dispatched for their next attempt."""

import asyncpg

from processor_service.maintenance.dispatches import COLUMNS, dispatches_of
from shared.failpoints import failpoint
from shared.queue.dispatch import Dispatch

BATCH = 500

WAKE = f"""
UPDATE tasks t SET state = 'dispatched', dispatch_no = dispatch_no + 1, dispatched_at = now(), not_before = NULL
FROM jobs j
WHERE j.id = t.job_id AND t.id IN (
    SELECT id FROM tasks WHERE state = 'waiting' AND not_before <= now()
    ORDER BY not_before LIMIT $1 FOR UPDATE SKIP LOCKED)
RETURNING {COLUMNS}
"""  # noqa: S608 - constants


async def wake(connection: asyncpg.Connection) -> list[Dispatch]:
    """Dispatch what is due; the caller rings after the commit."""
    rows = await connection.fetch(WAKE, BATCH)
    failpoint("wake.before_commit")
    return dispatches_of(rows)
