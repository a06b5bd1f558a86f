"""Looks through a part of the blob store for orphans, some pages a run, and remembers in the database how far it is.

A pass over a large store takes days, at a bounded rate, and a restart continues it. With an inventory of the bucket, a
pass reads that instead of listing the bucket.
"""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Sequence

import asyncpg
import msgspec

from shared.blobs.blob_facts import BlobFacts
from shared.blobs.blob_store import BlobStore
from shared.blobs.inventory import Inventory

EVERY_S = 60.0  # between two runs
PAGES_A_RUN = 600  # of 1,000 blobs: ten listings a second, 0.2 % of what S3 allows for a prefix
RUN_S = 45.0  # a run ends after this: it is one transaction

AGO = "SELECT now() - make_interval(secs => $1)"
STATE = "SELECT before, after, inventory, kept, ended_at IS NULL AS is_under_way FROM blob_scans WHERE name = $1"
SAVE = """
INSERT INTO blob_scans (name, before, after, inventory, kept, ended_at)
VALUES ($1, $2, $3, $4, $5, CASE WHEN $6 THEN now() END)
ON CONFLICT (name) DO UPDATE SET before = excluded.before, after = excluded.after, inventory = excluded.inventory,
    kept = excluded.kept, ended_at = excluded.ended_at
"""

NOTHING_KEPT = "[]"


class Pass(msgspec.Struct):
    """A pass under way."""

    before: dt.datetime  # it looks at older blobs only
    after: str = ""  # a key of a listing, or a number of files of the inventory
    inventory: str = ""  # the manifest; empty: a listing
    kept: str = NOTHING_KEPT  # JSON; what the collector remembers until the pass ends
    has_ended: bool = False


class StoreScan:
    """The passes over the blobs under a prefix. Older blobs than `older_than_s` are looked at."""

    def __init__(
        self,
        blobs: BlobStore,
        prefix: str,
        *,
        older_than_s: float,
        again_after_s: float = 0.0,
        inventory: Inventory | None = None,
    ) -> None:
        """`again_after_s`: the least time between the starts of two passes."""
        self._blobs = blobs
        self._prefix = prefix
        self._older_than_s = older_than_s
        self._again_after_s = again_after_s
        self._inventory = inventory

    async def current(self, connection: asyncpg.Connection) -> Pass | None:
        """Return the pass under way, or a new one; None: it is too early for one."""
        before = await connection.fetchval(AGO, self._older_than_s)
        row = await connection.fetchrow(STATE, self._prefix)
        if row and row["is_under_way"] and bool(row["inventory"]) == bool(self._inventory):
            return Pass(min(before, row["before"]), row["after"], row["inventory"], row["kept"])
        if row and (before - row["before"]).total_seconds() < self._again_after_s:
            return None
        if self._inventory is None:
            return Pass(before)
        newest = await self._inventory.newest()
        return Pass(before, inventory=newest) if newest and not (row and row["inventory"] == newest) else None

    async def pages(self, current: Pass) -> AsyncIterator[list[BlobFacts]]:
        """Yield the next pages of a pass, without young blobs. Update the pass: `keep` stores it."""
        clock, number = asyncio.get_running_loop().time, 0
        until_s = clock() + RUN_S
        async for page, after in self._read(current):
            yield [blob for blob in page if blob.modified_at < current.before]
            number += 1
            if after is not None:
                current.after = after
                if number >= PAGES_A_RUN or clock() >= until_s:
                    return
        current.has_ended = True

    async def keep(self, connection: asyncpg.Connection, current: Pass) -> None:
        """Store how far a pass is."""
        kept = NOTHING_KEPT if current.has_ended else current.kept
        values = current.before, current.after, current.inventory, kept, current.has_ended
        await connection.execute(SAVE, self._prefix, *values)

    async def _read(self, current: Pass) -> AsyncIterator[tuple[Sequence[BlobFacts], str | None]]:
        """Yield pages, and after which position each ends; None: the pass cannot be continued there."""
        if self._inventory is None:
            async for page in self._blobs.scan(self._prefix, current.after):
                yield page, page[-1].key
            return
        manifest = await self._inventory.manifest(current.inventory)
        for number in range(int(current.after or 0), len(manifest.files)):
            async for page in self._inventory.pages(manifest, number, self._prefix):
                yield page, None
            yield [], str(number + 1)
