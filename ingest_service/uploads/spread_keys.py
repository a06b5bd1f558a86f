"""Lets new blobs have keys that spread, once no process of the version before these keys runs.

The phase `post` of the migrations says so. It runs when the upgrade will not be reversed, and every reader knows the
keys. An ingest that runs then sees it within a minute.
"""

import asyncio
import contextlib

from ingest_service.database import Database
from ingest_service.errors import OutageError
from shared.blobs.blob_store import BlobStore

ASK_EVERY_S = 60.0
ASK_AGAIN_S = 1.0  # in an outage, so that a restart goes back to plain keys for as short as possible

SPREAD = "SELECT blob_keys_spread()"


async def spread_new_keys(database: Database, blobs: BlobStore) -> None:
    """Ask until the answer is yes, which never changes. Returns then."""
    while True:
        wait_s = ASK_AGAIN_S
        with contextlib.suppress(OutageError):
            async with database.connection() as connection:
                blobs.spreads = await connection.fetchval(SPREAD)
            wait_s = ASK_EVERY_S
        if blobs.spreads:
            return
        await asyncio.sleep(wait_s)
