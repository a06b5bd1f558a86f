"""Wake: tasks whose wait is over are dispatched for their next attempt."""

import asyncpg

from shared.failpoints import failpoint
from shared.messages import Dispatch
from shared.states import TaskKind

BATCH = 500

WAKE = """
UPDATE tasks SET state = 'dispatched', dispatch_no = dispatch_no + 1, dispatched_at = now(), not_before = NULL
WHERE id IN (
    SELECT id FROM tasks WHERE state = 'waiting' AND not_before <= now()
    ORDER BY not_before LIMIT $1 FOR UPDATE SKIP LOCKED)
RETURNING id, dispatch_no, kind
"""


async def wake(connection: asyncpg.Connection) -> list[Dispatch]:
    """Dispatch what is due; the caller rings after the commit."""
    rows = await connection.fetch(WAKE, BATCH)
    failpoint("wake.before_commit")
    return [Dispatch(row["id"], row["dispatch_no"], TaskKind(row["kind"])) for row in rows]
