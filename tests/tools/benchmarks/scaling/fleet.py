"""A simulation's input about the processors, and its output about the jobs."""

import msgspec

from shared.schemas.states import JobStatus
from tests.tools.benchmarks.scaling.workload import SimulatedJob


class Fleet(msgspec.Struct, frozen=True, kw_only=True):
    """The processors and their faults. Rates are per second; 0 means never."""

    processors: int
    slots: int = 1  # per processor
    retry_waits_s: tuple[float, ...] = (10.0, 20.0, 40.0)
    failing: float = 0.0  # share of attempts with a transient failure
    deaths_per_s: float = 0.0  # per processor
    rescue_s: float = 16.0  # from a crash to the new dispatch: the lease and two maintenance runs
    restart_s: float = 10.0  # until the model is loaded again


class Ended(msgspec.Struct, kw_only=True):
    """The outcome of a job. Times are seconds of the simulated clock."""

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
    """The result of a run. `busy_s`: the slots' seconds of work, lost and failed attempts included."""

    jobs: list[Ended]
    tasks: int
    attempts: int
    failures: int
    lost: int
    busy_s: float
    makespan_s: float
    backlog: list[tuple[float, int]]  # time of a sample, waiting tasks
