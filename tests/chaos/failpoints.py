"""The failpoints of the services: found in their source, and ordered to misbehave one at a time."""

import asyncio
import os
import re
import signal
from contextlib import suppress
from pathlib import Path

from tests.chaos.run import Run
from tests.chaos.services import ROOT, Life, Service
from tests.chaos.waiting import came_about

FAILPOINT = re.compile(r'failpoint\("([^"]+)"\)')
PACKAGES = ("shared", "ingest_service", "processor_service")
NEED_A_BUCKET = "direct."  # and the blobs of this world lie in a folder: `tests/storage` gives orders at these
PROVOKE_EVERY_S = 8.0


def names_in_source() -> list[str]:
    """Every failpoint that somebody may come to here."""
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    names = {name for path in files for name in FAILPOINT.findall(path.read_text())}
    return sorted(name for name in names if not name.startswith(NEED_A_BUCKET))


class Failpoints:
    """Orders at the failpoints, and who obeyed them."""

    def __init__(self, run: Run) -> None:
        self.names = names_in_source()
        self._run = run
        self._folder = run.world.failpoints
        run.figures["failpoints"] = len(self.names)

    async def order(self, name: str, what: str, *, within_s: float) -> int | None:
        """Give an order and wait until somebody obeys; the pid, None when nobody came by, which is a violation."""
        order = self._folder / name
        (self._folder / "order.new").write_text(what)
        (self._folder / "order.new").rename(order)
        provoking = asyncio.create_task(self._provoke(name))
        try:
            pid = await self._obeyed(within_s)
        finally:
            provoking.cancel()
            order.unlink(missing_ok=True)
        if pid is None:
            self._run.expect(None, f"nobody came to the failpoint {name} within {within_s:.0f} s")
        else:
            await self._note(name, what, pid)
        return pid

    def go_on(self, pid: int | None) -> None:
        """Let a frozen process go on."""
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    async def _obeyed(self, within_s: float) -> int | None:
        await came_about(self._taken, within_s=within_s)
        pids = [int(taken.name.rpartition("-")[2]) for taken in self._taken()]
        for taken in self._taken():
            taken.unlink()
        return pids[0] if pids else None

    def _taken(self) -> list[Path]:
        """The orders that were taken away; there is one at a time."""
        return list(self._folder.glob("*.taken-by-*"))

    async def _provoke(self, name: str) -> None:
        """Some failpoints are passed only after a misfortune."""
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
