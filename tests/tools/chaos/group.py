"""Runs that share one world and run in parallel to save time. They are checked together."""

import asyncio
import random

import msgspec

from tests.tools.chaos.facts import Facts
from tests.tools.chaos.gather import gather
from tests.tools.chaos.invariants import violations_of
from tests.tools.chaos.load import Load
from tests.tools.chaos.waiting import became_true
from tests.tools.chaos.world import World

POLL_INTERVAL_S = 0.5
UNDER_WAY = """
SELECT count(*) FROM tasks t JOIN jobs j ON j.id = t.job_id
WHERE t.state NOT IN ('done', 'dead', 'cancelled') OR j.status NOT IN ('COMPLETED', 'FAILED', 'CANCELLED')
"""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """An injected fault. `costs` is the most chunks that may be processed again because of it."""

    at: float
    kind: str
    who: str
    costs: int = 0


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The state after all jobs ended, its violations, and the seconds until the jobs ended."""

    facts: Facts
    violations: tuple[str, ...]
    quiet_after_s: float


class Group:
    """The state that the runs of a group share."""

    def __init__(self, world: World, size: int) -> None:
        self.world = world
        self.loads: list[Load] = []
        self.faults: list[Fault] = []
        self._missing = size
        self._all_are_done = asyncio.Event()
        self._judging: asyncio.Task[Verdict] | None = None

    def load(self, name: str, rng: random.Random) -> Load:
        """Create the client of one run."""
        load = Load(name, self.world.http, self.world.url, self.world.receiver.url, rng)
        self.loads.append(load)
        return load

    def arrive(self) -> None:
        """Note that a run has injected its faults or aborted."""
        self._missing -= 1
        if self._missing == 0:
            self._all_are_done.set()

    async def verdict(self) -> Verdict:
        """Return the verdict on the group, once all runs have arrived."""
        await self._all_are_done.wait()
        if self._judging is None:
            self._judging = asyncio.create_task(self._judge())
        return await self._judging

    async def _judge(self) -> Verdict:
        """Wait until all jobs have ended, then until no invariant is violated or the time is up."""
        await self.world.ready()
        clock, profile = asyncio.get_running_loop().time, self.world.profile
        began_s = clock()
        await became_true(self._is_quiet, within_s=profile.quiet_within_s)
        quiet_after_s = clock() - began_s
        deadline_s = clock() + profile.settled_within_s
        while violations := violations_of(facts := await self._facts()):
            if clock() > deadline_s:
                break
            await asyncio.sleep(POLL_INTERVAL_S)
        return Verdict(facts=facts, violations=tuple(violations), quiet_after_s=quiet_after_s)

    async def _is_quiet(self) -> bool:
        return not await self.world.record.value(UNDER_WAY)

    async def _facts(self) -> Facts:
        attempts = tuple(attempt for load in self.loads for attempt in load.attempts)
        return await gather(
            self.world,
            attempts,
            struck=frozenset(fault.who for fault in self.faults if fault.who),
            calls_allowed_again=sum(fault.costs for fault in self.faults),
        )
