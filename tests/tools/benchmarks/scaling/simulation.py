"""A discrete simulation (SimPy) of the processors: uploads become tasks, the fair queue orders them, slots run them.

As in the services: prepare → chunks → finish, or all under one lease; a free slot takes the next task at once; a failed
attempt frees its slot and is retried later; the tasks of a crashed processor are rescued after their leases expire.
"""

import random
from collections.abc import Generator, Iterable
from typing import Any
from uuid import UUID

import msgspec
import simpy

from processor_service.tasks.retry import JITTER, is_poison
from shared.queue.dispatch import Dispatch
from shared.queue.fair_queue import FairQueue
from shared.queue.task_costs import FINISH_S
from shared.schemas.states import JobStatus, TaskKind
from tests.tools.benchmarks.scaling.fleet import Ended, Fleet, Report
from tests.tools.benchmarks.scaling.workload import SimulatedJob

Steps = Generator[simpy.Event, Any, None]


class _Task:
    """A row of `tasks`."""

    def __init__(self, ended: Ended, kind: TaskKind, number: int, cost_s: int, work_s: float) -> None:
        self.job = ended
        self.kind = kind
        self.work_s = work_s
        self.attempts = 0
        self.crashes = 0
        self.dispatch = Dispatch(UUID(int=number), 1, kind, ended.job.tenant, cost_s)


class _Processor:
    """Its slots crash together."""

    def __init__(self) -> None:
        self.is_alive = True
        self.slots: list[_Slot] = []


class _Slot:
    def __init__(self, processor: _Processor) -> None:
        self.processor = processor
        self.wake_up: simpy.Event | None = None  # set while the slot is idle
        self.process: simpy.Process


class Simulation:
    """One run. Call `run` once."""

    def __init__(self, fleet: Fleet, *, seed: int = 0, sample_s: float = 0.0) -> None:
        self._fleet = fleet
        self._env = simpy.Environment()
        self._random = random.Random(seed)
        self._queue = FairQueue()
        self._tasks: dict[str, _Task] = {}  # by the arq id of the current dispatch
        self._chunks_left: dict[int, int] = {}
        self._idle: list[_Slot] = []
        self._ended: list[Ended] = []
        self._open = 0
        self._all_arrived = False
        self._done = self._env.event()
        self._sample_s = sample_s
        self._backlog: list[tuple[float, int]] = []
        self._count = dict.fromkeys(("tasks", "attempts", "failures", "lost"), 0)
        self._busy_s = 0.0

    def run(self, jobs: Iterable[SimulatedJob]) -> Report:
        """Run until every job has ended."""
        for _ in range(self._fleet.processors):
            self._start_processor(_Processor())
        self._env.process(self._arrive(jobs))
        if self._sample_s:
            self._env.process(self._sample())
        self._env.run(until=self._done)
        first_s = min((one.job.at_s for one in self._ended), default=0.0)
        return Report(
            jobs=self._ended,
            tasks=self._count["tasks"],
            attempts=self._count["attempts"],
            failures=self._count["failures"],
            lost=self._count["lost"],
            busy_s=self._busy_s,
            makespan_s=max((one.ended_s for one in self._ended), default=0.0) - first_s,
            backlog=self._backlog,
        )

    def _start_processor(self, processor: _Processor) -> None:
        for _ in range(self._fleet.slots):
            slot = _Slot(processor)
            processor.slots.append(slot)
            slot.process = self._env.process(self._work(slot))
        if self._fleet.deaths_per_s:
            self._env.process(self._crash(processor))

    def _arrive(self, jobs: Iterable[SimulatedJob]) -> Steps:
        for job in jobs:
            yield self._env.timeout(job.at_s - self._env.now)
            ended = Ended(job=job)
            self._ended.append(ended)
            self._open += 1
            self._put([self._prepare_of(ended)])
        self._all_arrived = True
        self._stop_when_done()

    def _prepare_of(self, ended: Ended) -> _Task:
        job = ended.job
        work_s = job.slot_s if len(job.chunks_s) == 1 else job.prepare_s
        return self._new_task(ended, TaskKind.PREPARE, job.cost_s, work_s)

    def _new_task(self, ended: Ended, kind: TaskKind, cost_s: int, work_s: float) -> _Task:
        self._count["tasks"] += 1
        return _Task(ended, kind, self._count["tasks"], cost_s, work_s)

    def _put(self, tasks: list[_Task]) -> None:
        for task in tasks:
            self._tasks[task.dispatch.arq_id] = task
        self._queue.put([task.dispatch for task in tasks])
        self._wake(len(tasks))

    def _wake(self, count: int) -> None:
        """Wake up to `count` idle slots, chosen at random."""
        for _ in range(min(count, len(self._idle))):
            index = self._random.randrange(len(self._idle))
            self._idle[index], self._idle[-1] = self._idle[-1], self._idle[index]
            wake_up = self._idle.pop().wake_up
            assert wake_up is not None
            wake_up.succeed()

    def _work(self, slot: _Slot) -> Steps:
        """Loop: wait while the queue is empty; run a task."""
        task: _Task | None = None
        began_s = 0.0
        while True:
            try:
                if not self._queue.waiting:
                    yield self._idle_until_woken(slot)
                slot.wake_up = None
                task = self._take()
                if task is None:
                    continue
                began_s = self._env.now
                yield self._env.timeout(task.work_s)
                self._leave(task, began_s)
                self._settle(task)
                task = None
            except simpy.Interrupt:
                self._lose(slot, task, began_s)
                task = None
                yield self._env.timeout(self._fleet.restart_s)
                slot.processor.is_alive = True

    def _idle_until_woken(self, slot: _Slot) -> simpy.Event:
        slot.wake_up = self._env.event()
        self._idle.append(slot)
        return slot.wake_up

    def _take(self) -> _Task | None:
        task = self._next()
        if task is None:
            return None
        if task.job.begun_s < 0:
            task.job.begun_s = self._env.now
            task.job.status = JobStatus.PROCESSING
        self._count["attempts"] += 1
        return task

    def _next(self) -> _Task | None:
        """Return the next task; skip tasks of a job that has failed."""
        while (name := self._queue.take()) is not None:
            task = self._tasks[name]
            if task.job.status in (JobStatus.QUEUED, JobStatus.PROCESSING):
                return task
            self._queue.end(name)
            del self._tasks[name]
        return None

    def _leave(self, task: _Task, began_s: float) -> None:
        self._busy_s += self._env.now - began_s
        self._queue.end(task.dispatch.arq_id)

    def _settle(self, task: _Task) -> None:
        del self._tasks[task.dispatch.arq_id]
        if task.job.status is not JobStatus.PROCESSING:
            return  # a sibling ended the job
        if self._fleet.failing and self._random.random() < self._fleet.failing:
            self._fail(task)
        elif task.kind is TaskKind.PREPARE and len(task.job.job.chunks_s) > 1:
            self._split(task.job)
        elif task.kind is TaskKind.CHUNK:
            self._chunk_done(task.job)
        else:
            self._end(task.job, JobStatus.COMPLETED)

    def _split(self, ended: Ended) -> None:
        job = ended.job
        self._chunks_left[job.number] = len(job.chunks_s)
        cost_s = max(1, job.cost_s // len(job.chunks_s))
        self._put([self._new_task(ended, TaskKind.CHUNK, cost_s, work_s) for work_s in job.chunks_s])

    def _chunk_done(self, ended: Ended) -> None:
        self._chunks_left[ended.job.number] -= 1
        if not self._chunks_left[ended.job.number]:
            self._put([self._new_task(ended, TaskKind.FINISH, FINISH_S, ended.job.finish_s)])

    def _fail(self, task: _Task) -> None:
        self._count["failures"] += 1
        task.attempts += 1
        if task.attempts > len(self._fleet.retry_waits_s):
            self._end(task.job, JobStatus.FAILED)
            return
        wait_s = self._fleet.retry_waits_s[task.attempts - 1]
        self._env.process(self._requeue(task, wait_s * (1 + self._random.uniform(0, JITTER))))

    def _requeue(self, task: _Task, wait_s: float) -> Steps:
        yield self._env.timeout(wait_s)
        if task.job.status is not JobStatus.PROCESSING:
            return
        was = task.dispatch
        self._tasks.pop(was.arq_id, None)
        task.dispatch = msgspec.structs.replace(was, dispatch_no=was.dispatch_no + 1, has_begun=True)
        self._put([task])

    def _end(self, ended: Ended, status: JobStatus) -> None:
        assert ended.status is JobStatus.PROCESSING
        ended.status, ended.ended_s = status, self._env.now
        self._open -= 1
        self._stop_when_done()

    def _stop_when_done(self) -> None:
        if self._all_arrived and not self._open and not self._done.triggered:
            self._done.succeed()

    def _crash(self, processor: _Processor) -> Steps:
        while True:
            yield self._env.timeout(self._random.expovariate(self._fleet.deaths_per_s))
            if not processor.is_alive:
                continue
            processor.is_alive = False
            for slot in processor.slots:
                slot.process.interrupt()

    def _lose(self, slot: _Slot, task: _Task | None, began_s: float) -> None:
        if slot in self._idle:
            self._idle.remove(slot)
            return
        if task is None:
            self._wake(1)  # it was woken; another slot looks instead
            return
        self._busy_s += self._env.now - began_s
        self._count["lost"] += 1
        task.crashes += 1
        if is_poison(task.crashes):
            self._env.process(self._fail_poison(task))
        else:
            self._env.process(self._requeue(task, self._fleet.rescue_s))

    def _fail_poison(self, task: _Task) -> Steps:
        yield self._env.timeout(self._fleet.rescue_s)
        self._queue.end(task.dispatch.arq_id)
        if task.job.status is JobStatus.PROCESSING:
            self._end(task.job, JobStatus.FAILED)

    def _sample(self) -> Steps:
        while True:
            self._backlog.append((self._env.now, self._queue.waiting))
            yield self._env.timeout(self._sample_s)
