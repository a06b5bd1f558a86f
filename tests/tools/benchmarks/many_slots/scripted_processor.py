"""`python -m tests.tools.benchmarks.many_slots.scripted_processor`: a processor whose slots sleep instead of computing.

Everything else is that of `python -m processor_service`: its queues, claims, leases, settlements and maintenance. A
hundred slots are one process here; with a child for each slot, two cores could not run two thousand of them.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from typing import Any

from processor_service import __main__ as program
from processor_service import service
from processor_service.stages.work import Work
from processor_service.tasks import execute
from processor_service.tasks.outcomes import JobDone, Outcome
from shared.schemas.states import TaskKind

TASK_S = float(os.environ.pop("MANY_SLOTS_TASK_S", "10"))


class ScriptedPool:
    """The interface of ComputePool, without children."""

    def __init__(self, *_: Any, slots: int, **__: Any) -> None:
        self.slots = slots
        self.busy = 0

    async def start(self) -> None:
        """Do nothing: there is no child to warm."""

    async def stop(self) -> None:
        """Do nothing."""

    def process_ids(self) -> list[int]:
        return []

    @contextlib.asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        self.busy += 1
        try:
            yield
        finally:
            self.busy -= 1


async def _sleep(_work: Work) -> Outcome:
    await asyncio.sleep(TASK_S)
    return JobDone(warnings=(), engine="scripted", model="scripted")


def main() -> int:
    vars(service)["ComputePool"] = ScriptedPool
    execute.STAGES[TaskKind.PREPARE] = _sleep  # type: ignore[assignment] # takes the same Work
    return program.main()


if __name__ == "__main__":
    sys.exit(main())
