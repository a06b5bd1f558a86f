"""One run of the chaos plan: what its scenario works with, and where it notes what it did and found."""

import asyncio
import contextlib
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from uuid import UUID

from tests.chaos.facts import Change, Facts
from tests.chaos.gather import changes
from tests.chaos.group import Fault, Group
from tests.chaos.load import WAIT_AFTER_REFUSAL_S, Attempt
from tests.chaos.profiles import Profile
from tests.chaos.services import Life, Service
from tests.chaos.waiting import until

ALL_ENDED = "SELECT count(*) = 0 FROM jobs WHERE id = ANY($1::uuid[]) AND completed_at IS NULL"

Figure = float | int | str | None


class Run:
    """What a scenario works with. `violations` and `figures` are its own, faults are those of its group."""

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
        """Note a fault at the moment when it is injected."""
        fault = Fault(at=time.time(), kind=kind, who=who, costs=costs)
        self.faults.append(fault)
        self._group.faults.append(fault)
        return fault

    def strike(self, service: Service, number: signal.Signals) -> Life:
        """Send a service a signal, and note it; a worker's slots may have to do their chunks again."""
        costs = self.profile.slots if service in self.world.workers else 0
        self.fault(number.name, service.life.who, costs=costs)
        return service.strike(number)

    def hold(self, what: str, value: float, limit: float) -> None:
        """A number of the plan: more than the limit is a violation."""
        self.expect(value <= limit, f"{what} is {value:.2f}, the limit is {limit:.2f}")

    def hold_s(self, what: str, seconds: float, limit_s: float) -> None:
        """A time of the plan, with the patience of the profile."""
        self.hold(f"{what} (s)", seconds, limit_s * self.profile.patience)

    def expect(self, truth: object, otherwise: str) -> None:
        if not truth:
            self.violations.append(f"{self.name}: {otherwise}")

    @contextlib.asynccontextmanager
    async def feeding(self, one: Callable[[], Awaitable[Attempt]] | None = None) -> AsyncIterator[None]:
        """Keep jobs under way for the length of a block, whatever happens to the uploads."""
        stop = asyncio.Event()
        feeder = asyncio.create_task(self._feed(one or self.upload_slow, stop))
        try:
            yield
        finally:
            stop.set()
            await feeder

    async def upload_slow(self) -> Attempt:
        """A job that lets the slots wait rather than work, so that a fault finds it under way."""
        return await self.load.attempt(self.world.long, prompt=f"SLOW {self.profile.slow_chunk_s}")

    async def upload_short(self) -> Attempt:
        """A job that goes through under one lease, quickly."""
        return await self.load.attempt(self.world.short)

    async def ended(self, attempts: Sequence[Attempt]) -> None:
        """Return when these jobs have ended."""
        ids = [UUID(attempt.job_id) for attempt in attempts if attempt.job_id]
        await until(lambda: self.world.record.value(ALL_ENDED, ids), within_s=self.profile.quiet_within_s)

    async def changes(self) -> tuple[Change, ...]:
        return await changes(self.world)

    async def judge(self) -> Facts:
        """The facts of the world at rest; what does not hold of them is noted."""
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
        """Say that this run's faults are over; at the second time nothing."""
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
        """Told by the webhooks, so that it is known while the record is away."""
        ended = {one.job_id for one in self.world.receiver.log}
        return sum(attempt.job_id not in ended for attempt in self.load.accepted if not attempt.unheard)


Scenario = Callable[[Run], Awaitable[None]]
