"""Find the failpoints in the source of the services, and inject a fault at one of them at a time."""

import asyncio
import os
import re
import signal
from contextlib import suppress
from pathlib import Path

from tests.tools.chaos.run import Run
from tests.tools.chaos.services import ROOT, Life, Service
from tests.tools.chaos.waiting import became_true

FAILPOINT = re.compile(r'failpoint\("([^"]+)"\)')
PACKAGES = ("shared", "ingest_service", "processor_service")
NEED_A_BUCKET = "direct."  # this world stores blobs in a folder; `tests/storage` covers these failpoints
PROVOKE_EVERY_S = 8.0


def names_in_source() -> list[str]:
    """Return every failpoint that the services can reach here."""
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    names = {name for path in files for name in FAILPOINT.findall(path.read_text())}
    return sorted(name for name in names if not name.startswith(NEED_A_BUCKET))


class Failpoints:
    """Give orders at failpoints and find the processes that took them."""

    def __init__(self, run: Run) -> None:
        self.names = names_in_source()
        self._run = run
        self._folder = run.world.failpoints
        run.figures["failpoints"] = len(self.names)

    async def order(self, name: str, what: str, *, within_s: float) -> int | None:
        """Give an order and wait until a process takes it.

        Return its pid. None means that no process reached the failpoint, which is a violation.
        """
        order = self._folder / name
        (self._folder / "order.new").write_text(what)
        (self._folder / "order.new").rename(order)
        provoking = asyncio.create_task(self._provoke(name))
        try:
            pid = await self._pid_of_taker(within_s)
        finally:
            provoking.cancel()
            order.unlink(missing_ok=True)
        if pid is None:
            self._run.expect(None, f"no process reached the failpoint {name} within {within_s:.0f} s")
        else:
            await self._note(name, what, pid)
        return pid

    def resume(self, pid: int | None) -> None:
        """Resume a stopped process."""
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    async def _pid_of_taker(self, within_s: float) -> int | None:
        await became_true(self._taken, within_s=within_s)
        pids = [int(taken.name.rpartition("-")[2]) for taken in self._taken()]
        for taken in self._taken():
            taken.unlink()
        return pids[0] if pids else None

    def _taken(self) -> list[Path]:
        """Return the orders that were taken, at most one."""
        return list(self._folder.glob("*.taken-by-*"))

    async def _provoke(self, name: str) -> None:
        """Inject faults for failpoints that are reached only after one."""
        run, workers = self._run, self._run.world.workers
        while name.startswith(("rescue.", "reconcile.")):
            if name.startswith("rescue."):
                run.strike(run.rng.choice(workers), signal.SIGKILL)
            run.fault("FLUSHALL")
            await run.world.redis.flushall()
            await asyncio.sleep(PROVOKE_EVERY_S)

    async def _note(self, name: str, what: str, pid: int) -> None:
        service, life = self._owner(pid)
        costs = self._run.profile.slots if service in self._run.world.workers else 0
        self._run.fault(f"{what} at {name}", life.who, costs=costs)
        if what == "kill":
            await service.until_ended(life)

    def _owner(self, pid: int) -> tuple[Service, Life]:
        lives = [(service, life) for service in self._run.world.services for life in service.lives]
        return next((service, life) for service, life in lives if life.pid == pid)
