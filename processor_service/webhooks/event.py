"""Reads a stored webhook event, and where and how it is to be sent."""

import asyncpg
import msgspec

READ_EVENT = """
SELECT e.id AS event_id, e.body, j.webhook_url AS url, j.webhook_secret AS secret
FROM webhook_events e JOIN jobs j ON j.id = e.job_id WHERE e.id = $1
"""


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """An event ready to be signed and sent; the same in every attempt."""

    event_id: str
    body: bytes
    url: str
    secret: str | None


async def read_envelope(pool: asyncpg.Pool, event_id: str) -> Envelope:
    """The event of an id."""
    row = await pool.fetchrow(READ_EVENT, event_id)
    return Envelope(event_id=row["event_id"], body=row["body"].encode(), url=row["url"], secret=row["secret"])
