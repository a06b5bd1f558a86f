"""What a tenant costs the machine: the highest memory of the ingest, and bytes in scratch and store."""

import asyncio
import contextlib
import resource
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from tests.support.storage.files_below import files_below
from tests.tools.chaos.world import World

MEBIBYTE = 1 << 20
SAMPLE_EVERY_S = 2.0  # a walk over the store takes time from the measured client
JOBS = "SELECT id::text FROM jobs WHERE tenant = $1"
GIVEN = ("source", "transcript.json")  # uploaded, or planted by the harness


class Costs:
    """The highest values while watched, in MB."""

    def __init__(self, world: World, tenant: str) -> None:
        self.job_mb = 0.0  # derived blobs of one job
        self.tenant_mb = 0.0  # derived blobs of all jobs
        self.scratch_mb = 0.0
        self._world = world
        self._tenant = tenant
        self._rss_mb = self._before_mb = 0.0
        self._children_mb = 0.0

    @property
    def ingest_growth_mb(self) -> float:
        return self._rss_mb - self._before_mb

    def figures(self) -> dict[str, float | int | str | None]:
        return {
            "ingest_growth_mb": round(self.ingest_growth_mb, 1),
            "ingest_children_mb": round(self._children_mb, 1),
            "scratch_mb": round(self.scratch_mb, 1),
            "largest_job_mb": round(self.job_mb, 1),
            "hostile_blobs_mb": round(self.tenant_mb, 1),
        }

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator["Costs"]:
        """Sample during a block."""
        self._before_mb = rss_mb(self._world.ingest.life.pid)
        watching = asyncio.create_task(self._watch())
        try:
            yield self
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            ids = [row["id"] for row in await self._world.record.fetch(JOBS, self._tenant)]
            await asyncio.to_thread(self._sample, ids)
            await asyncio.sleep(SAMPLE_EVERY_S)

    def _sample(self, ids: list[str]) -> None:
        service, world = self._world.ingest, self._world
        derived_mb = [_size_mb(world.blobs / "jobs" / job_id) for job_id in ids]
        self.job_mb = max(self.job_mb, *derived_mb, 0.0)
        self.tenant_mb = max(self.tenant_mb, sum(derived_mb))
        self.scratch_mb = max(self.scratch_mb, _size_mb(world.temporary))
        self._rss_mb = max(self._rss_mb, rss_mb(service.life.pid))
        self._children_mb = max(self._children_mb, sum(map(rss_mb, service.family() - {service.life.pid})))


def rss_mb(pid: int) -> float:
    """Return the resident memory of a process, 0 if it has ended."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / MEBIBYTE
    return 0.0


def _size_mb(folder: Path) -> float:
    return sum(_sizes(files_below(folder))) / MEBIBYTE


def _sizes(paths: Iterable[Path]) -> Iterable[int]:
    for path in paths:
        with contextlib.suppress(OSError):  # deleted meanwhile
            if not path.name.endswith(GIVEN) and not path.is_symlink():
                yield path.stat().st_size
