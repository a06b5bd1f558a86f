"""One run of a scenario: its fleet and load, its figures and violations."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from uuid import UUID

from shared.schemas.states import TaskState
from tests.tools.chaos.facts import Change
from tests.tools.chaos.gather import changes
from tests.tools.chaos.load import WAIT_AFTER_REFUSAL_S, Attempt, Load
from tests.tools.chaos.run import ALL_ENDED
from tests.tools.chaos.services import Service
from tests.tools.chaos.waiting import until
from tests.tools.fleet.fleet import PROCESSORS, Fleet
from tests.tools.fleet.settings import SLOTS

UNDER_WAY = 5  # jobs of five chunks, while a fault lasts
SLOW_CHUNK_S = 0.6
WARMING_CHUNK_S = 1.0
ENDED_WITHIN_S = 120.0


class Trial:
    """`figures` are printed; `violations` are sentences about failed checks."""

    def __init__(self, name: str, fleet: Fleet, rng: random.Random) -> None:
        self.name = name
        self.fleet = fleet
        self.rng = rng
        self.load = Load(name, fleet.http, fleet.url, fleet.receiver.url, rng)
        self.figures: dict[str, object] = {}
        self.violations: list[str] = []
        self.struck: set[str] = set()  # names of service instances that were cut off or killed
        self.calls_allowed_again = 0  # repeated calls of the transcriber that this scenario's faults explain

    def expect(self, condition: object, message: str) -> None:
        if not condition:
            self.violations.append(f"{self.name}: {message}")

    def hold(self, what: str, value: float, limit: float) -> None:
        self.expect(value <= limit, f"{what} is {value:.1f}, the limit is {limit:.1f}")

    async def processors_up(self, count: int = len(PROCESSORS)) -> None:
        """Start the first `count` processors. Warm each slot with one task: the first task is slower."""
        wanted = self.fleet.processors[:count]
        new = [processor for processor in wanted if not processor.lives]
        for processor in new:
            await processor.start()
        await asyncio.gather(*(processor.until_ready() for processor in wanted))
        if new or count not in self.fleet.warmed:
            self.fleet.warmed.add(count)
            await self.ended(await self.load.jobs(self.fleet.long, SLOTS * count, prompt=f"SLOW {WARMING_CHUNK_S}"))

    @contextlib.asynccontextmanager
    async def feeding(self) -> AsyncIterator[None]:
        """Keep jobs running during a block; at its end, wait for all of them."""
        stop = asyncio.Event()
        feeder = asyncio.create_task(self._feed(stop))
        try:
            yield
        finally:
            stop.set()
            await feeder
        await self.ended(self.load.accepted)

    async def ended(self, attempts: Sequence[Attempt]) -> None:
        """Return when these jobs have ended."""
        ids = [UUID(attempt.job_id) for attempt in attempts if attempt.job_id]
        await until(lambda: self.fleet.record.value(ALL_ENDED, ids), within_s=ENDED_WITHIN_S)

    async def claims(self, since: float, until_: float = float("inf")) -> list[Change]:
        """Return the claims in a span of Unix time."""
        return [
            change
            for change in await changes(self.fleet)
            if change.relation == "tasks" and change.state == TaskState.RUNNING
            if since <= change.at.timestamp() <= until_
        ]

    async def first_claim_s(self, service: Service, since: float, *, within_s: float) -> float:
        """Return the seconds from `since` to a processor's first claim; note a violation at the timeout."""
        mine = f"{service.name}."

        async def found() -> list[Change]:
            return [change for change in await self.claims(since) if (change.who or "").startswith(mine)]

        try:
            await until(found, within_s=within_s)
        except TimeoutError:
            self.violations.append(f"{self.name}: {service.name} claimed no task within {within_s:.0f} s")
            return within_s
        return (await found())[0].at.timestamp() - since

    async def _feed(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            missing = UNDER_WAY - self._under_way()
            new = [self.load.attempt(self.fleet.long, prompt=f"SLOW {SLOW_CHUNK_S}") for _ in range(missing)]
            attempts = await asyncio.gather(*new)
            if not attempts or any(attempt.status != 202 for attempt in attempts):
                await asyncio.sleep(WAIT_AFTER_REFUSAL_S)

    def _under_way(self) -> int:
        ended = {one.job_id for one in self.fleet.receiver.log}
        return sum(attempt.job_id not in ended for attempt in self.load.accepted)


Scenario = Callable[[Trial], Awaitable[None]]


def now() -> float:
    """Return the Unix time; all hosts share this machine's clock."""
    return time.time()
