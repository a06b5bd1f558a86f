"""Rescue: tasks whose lease ran out have lost their worker; they are dispatched anew, at most so many times."""

import asyncpg

from shared.messages import Dispatch
from shared.states import TaskKind

BATCH = 500

RESCUE = """
UPDATE tasks SET state = 'dispatched', dispatch_no = dispatch_no + 1, dispatched_at = now(),
    crashes = crashes + 1, lease_expires_at = NULL, leased_by = NULL
WHERE id IN (
    SELECT id FROM tasks WHERE state = 'running' AND lease_expires_at < now()
    ORDER BY lease_expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)
RETURNING id, dispatch_no, kind
"""


async def rescue(connection: asyncpg.Connection) -> list[Dispatch]:
    """Take back what a lost worker held."""
    rows = await connection.fetch(RESCUE, BATCH)
    return [Dispatch(row["id"], row["dispatch_no"], TaskKind(row["kind"])) for row in rows]
