"""One run of the chaos plan: the tools of its scenario, its faults, figures and violations."""

import asyncio
import contextlib
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from uuid import UUID

from tests.tools.chaos.facts import Change, Facts
from tests.tools.chaos.gather import changes
from tests.tools.chaos.group import Fault, Group
from tests.tools.chaos.load import WAIT_AFTER_REFUSAL_S, Attempt
from tests.tools.chaos.profiles import Profile
from tests.tools.chaos.services import Life, Service
from tests.tools.chaos.waiting import until

ALL_ENDED = "SELECT count(*) = 0 FROM jobs WHERE id = ANY($1::uuid[]) AND completed_at IS NULL"

Figure = float | int | str | None


class Run:
    """The tools of a scenario. `violations` and `figures` belong to the run; its group sees the faults, too."""

    def __init__(self, name: str, group: Group, rng: random.Random) -> None:
        self.name = name
        self.world = group.world
        self.rng = rng
        self.load = group.load(name, rng)
        self.violations: list[str] = []
        self.figures: dict[str, Figure] = {}
        self.faults: list[Fault] = []
        self._group = group
        self._has_arrived = False

    @property
    def profile(self) -> Profile:
        return self.world.profile

    def fault(self, kind: str, who: str = "", *, costs: int = 0) -> Fault:
        """Note a fault at the time of its injection."""
        fault = Fault(at=time.time(), kind=kind, who=who, costs=costs)
        self.faults.append(fault)
        self._group.faults.append(fault)
        return fault

    def strike(self, service: Service, number: signal.Signals) -> Life:
        """Send a signal to a service and note the fault. Each slot of a worker may have to repeat a chunk."""
        costs = self.profile.slots if service in self.world.workers else 0
        self.fault(number.name, service.life.who, costs=costs)
        return service.strike(number)

    def hold(self, what: str, value: float, limit: float) -> None:
        """Note a violation if a value exceeds its limit."""
        self.expect(value <= limit, f"{what} is {value:.2f}, the limit is {limit:.2f}")

    def hold_s(self, what: str, seconds: float, limit_s: float) -> None:
        """Note a violation if a time exceeds its limit, multiplied by the profile's factor."""
        self.hold(f"{what} (s)", seconds, limit_s * self.profile.time_factor)

    def expect(self, truth: object, otherwise: str) -> None:
        if not truth:
            self.violations.append(f"{self.name}: {otherwise}")

    @contextlib.asynccontextmanager
    async def feeding(self, one: Callable[[], Awaitable[Attempt]] | None = None) -> AsyncIterator[None]:
        """Keep jobs running during a block. Failed uploads are tolerated."""
        stop = asyncio.Event()
        feeder = asyncio.create_task(self._feed(one or self.upload_slow, stop))
        try:
            yield
        finally:
            stop.set()
            await feeder

    async def upload_slow(self) -> Attempt:
        """Upload a slow job that does not use the CPU, so that a fault finds it running."""
        return await self.load.attempt(self.world.long, prompt=f"SLOW {self.profile.slow_chunk_s}")

    async def upload_short(self) -> Attempt:
        """Upload a job that is processed quickly, under one lease."""
        return await self.load.attempt(self.world.short)

    async def ended(self, attempts: Sequence[Attempt]) -> None:
        """Wait until these jobs have ended."""
        ids = [UUID(attempt.job_id) for attempt in attempts if attempt.job_id]
        await until(lambda: self.world.record.value(ALL_ENDED, ids), within_s=self.profile.quiet_within_s)

    async def changes(self) -> tuple[Change, ...]:
        return await changes(self.world)

    async def judge(self) -> Facts:
        """Wait for the group's verdict, note its violations and return the facts."""
        self.arrive()
        verdict = await self._group.verdict()
        self.violations += verdict.violations
        self.figures |= {
            "jobs": len(self.load.accepted),
            "faults": len(self.faults),
            "quiet_after_s": round(verdict.quiet_after_s, 1),
            "transcriber_calls": verdict.facts.calls,
        }
        return verdict.facts

    def arrive(self) -> None:
        """Note once that this run's faults have ended. Further calls have no effect."""
        if not self._has_arrived:
            self._has_arrived = True
            self._group.arrive()

    async def _feed(self, one: Callable[[], Awaitable[Attempt]], stop: asyncio.Event) -> None:
        while not stop.is_set():
            missing = self.profile.under_way - self._under_way()
            attempts = await asyncio.gather(*(one() for _ in range(missing)))
            if not attempts or any(attempt.status != 202 for attempt in attempts):
                await asyncio.sleep(WAIT_AFTER_REFUSAL_S)

    def _under_way(self) -> int:
        """Count running jobs by their webhooks, which works while the database is unavailable."""
        ended = {one.job_id for one in self.world.receiver.log}
        return sum(attempt.job_id not in ended for attempt in self.load.accepted if not attempt.never_accepted)


Scenario = Callable[[Run], Awaitable[None]]
