"""What a simulation is told of the processors, and what it tells of the jobs."""

import msgspec

from shared.schemas.states import JobStatus
from tests.benchmarks.scaling.workload import SimulatedJob


class Fleet(msgspec.Struct, frozen=True, kw_only=True):
    """What works, and what goes wrong with it. Rates are a second; 0: never."""

    processors: int
    slots: int = 1  # of each
    poll_s: float = 0.1
    retry_waits_s: tuple[float, ...] = (10.0, 20.0, 40.0)
    failing: float = 0.0  # of the attempts, by something transient
    deaths_per_s: float = 0.0  # of each processor
    rescue_s: float = 16.0  # from a death to the dispatch anew: the lease and two turns
    restart_s: float = 10.0  # until it has a warm model again


class Ended(msgspec.Struct, kw_only=True):
    """What became of a job."""

    job: SimulatedJob
    status: JobStatus = JobStatus.QUEUED
    begun_s: float = -1.0
    ended_s: float = -1.0

    @property
    def waited_s(self) -> float:
        return self.begun_s - self.job.at_s

    @property
    def took_s(self) -> float:
        return self.ended_s - self.job.at_s


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A run. `busy_s` are the slots' seconds of work, what was lost and failed included."""

    jobs: list[Ended]
    tasks: int
    attempts: int
    failures: int
    lost: int
    busy_s: float
    makespan_s: float
    backlog: list[tuple[float, int]]  # at each sample: tasks that wait
