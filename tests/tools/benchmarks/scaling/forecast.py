"""Simulates loads too large to run: waits by the number of slots, the backlog of a day, the effect of faults.

It simulates a scaled-down fleet with one queue. A queue with more slots waits less, so the waits are upper bounds.
"""

from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

import msgspec

from shared.schemas.states import JobStatus
from tests.tools.benchmarks.scaling import erlang
from tests.tools.benchmarks.scaling.fleet import Fleet, Report
from tests.tools.benchmarks.scaling.measured import Measured
from tests.tools.benchmarks.scaling.simulation import Simulation
from tests.tools.benchmarks.scaling.sizing import HOURS, LOADS, Assumed, Load, computed_tasks, slot_s
from tests.tools.benchmarks.scaling.workload import DAY_S, Shape, SimulatedJob, by_day, poisson

FILE = Path(__file__).with_name("forecast.json")

RATIOS = (1.02, 1.05, 1.1, 1.2, 1.4)  # slots per slot that is busy on average
PART = 40.0  # busy slots in the scaled-down fleet
TENANTS = 20
JOBS = {True: 12_000, False: 2_500}  # short, long: enough for a stable mean, in about a minute
DAYS_PART = 12.0  # busy slots in the simulated day
OF_PEAK = (0.6, 0.8, 1.0)
FAULTS = ((0.0, 0.0), (0.02, 0.0), (0.02, 1.0))  # share of failed attempts; crashes per processor and hour
FAULTS_RATIO = 1.2


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """Waits of all jobs, from the upload to the first claim. `erlang_s`: Erlang's mean wait for the same tasks."""

    load: str
    ratio: float
    slots: int
    mean_s: float
    p95_s: float
    erlang_s: float


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """A day of varying load. `of_peak`: the slots, as a share of those for the busiest moment."""

    of_peak: float
    slots: int
    mean_wait_s: float
    longest_wait_s: float
    backlog: list[tuple[float, float]]  # hour, seconds of waiting work per slot


class Rough(msgspec.Struct, frozen=True, kw_only=True):
    """Files of an hour with faults: seconds from upload to end, and the wasted share of the slots' time."""

    failing: float
    deaths_per_hour: float
    mean_took_s: float
    p95_took_s: float
    wasted: float
    failed: int
    jobs: int


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """Saved in forecast.json, as it takes a minute; a test repeats parts of it."""

    waits: list[Wait]
    days: list[Day]
    rough: list[Rough]


def forecast(measured: Measured) -> Forecast:
    return Forecast(
        waits=[wait(load, measured, ratio) for load in LOADS for ratio in RATIOS],
        days=[day(HOURS, measured, of_peak) for of_peak in OF_PEAK],
        rough=[rough(HOURS, measured, *faults) for faults in FAULTS],
    )


def read() -> Forecast:
    return msgspec.json.decode(FILE.read_bytes(), type=Forecast)


def write(found: Forecast) -> None:
    FILE.write_bytes(msgspec.json.encode(found) + b"\n")


def shape(load: Load, measured: Measured, assumed: Assumed) -> Shape:
    """Return a constructor of the load's jobs: equal jobs of TENANTS tenants, round-robin."""
    times, spoken_s = measured.slot_times, load.audio_s / assumed.speed
    is_short = load.chunks == 1

    def job(number: int, at_s: float) -> SimulatedJob:
        return SimulatedJob(
            number=number,
            at_s=at_s,
            prepare_s=times.whole_s if is_short else times.prepare_s_per_audio_s * load.audio_s,
            chunks_s=(spoken_s,) if is_short else (times.chunk_s + spoken_s / load.chunks,) * load.chunks,
            finish_s=0.0 if is_short else times.finish_s,
            cost_s=max(1, round(min(load.audio_s, 1800))),
            tenant=f"t{number % TENANTS}",
        )

    return job


def wait(load: Load, measured: Measured, ratio: float, assumed: Assumed | None = None) -> Wait:
    """Simulate PART busy slots with `ratio` times as many slots."""
    assumed = assumed or Assumed()
    slots = round(PART * ratio)
    report = Simulation(_fleet(slots), seed=1).run(_steady(load, measured, assumed))
    waits_s = _waits_s(report)
    a_task_s = slot_s(load, measured, assumed) / computed_tasks(load)
    return Wait(
        load=load.name,
        ratio=ratio,
        slots=slots,
        mean_s=round(fmean(waits_s), 2),
        p95_s=round(waits_s[int(0.95 * len(waits_s))], 2),
        erlang_s=round(erlang.mean_wait_s(slots, PART, a_task_s), 2),
    )


def _steady(load: Load, measured: Measured, assumed: Assumed) -> Iterator[SimulatedJob]:
    """Yield arrivals that keep PART slots busy on average."""
    rate = PART / slot_s(load, measured, assumed)
    until_s = JOBS[load.chunks == 1] / rate
    return poisson(shape(load, measured, assumed), per_s=lambda _: rate, max_per_s=rate, until_s=until_s, seed=1)


def rough(load: Load, measured: Measured, failing: float, deaths_per_hour: float) -> Rough:
    fleet = msgspec.structs.replace(
        _fleet(round(PART * FAULTS_RATIO)), failing=failing, deaths_per_s=deaths_per_hour / 3600
    )
    report = Simulation(fleet, seed=1).run(_steady(load, measured, Assumed()))
    took_s = sorted(one.took_s for one in report.jobs if one.status is JobStatus.COMPLETED)
    useful_s = sum(one.job.slot_s for one in report.jobs)
    return Rough(
        failing=failing,
        deaths_per_hour=deaths_per_hour,
        mean_took_s=round(fmean(took_s), 1),
        p95_took_s=round(took_s[int(0.95 * len(took_s))], 1),
        wasted=round(1 - useful_s / report.busy_s, 4),
        failed=sum(one.status is JobStatus.FAILED for one in report.jobs),
        jobs=len(report.jobs),
    )


def day(load: Load, measured: Measured, of_peak: float, assumed: Assumed | None = None) -> Day:
    """Simulate from midnight to midnight, and until the backlog is empty."""
    assumed = assumed or Assumed()
    rate = DAYS_PART / slot_s(load, measured, assumed)
    most = rate * (1 + assumed.swing)
    slots = round(DAYS_PART * (1 + assumed.swing) * of_peak)
    arrivals = poisson(
        shape(load, measured, assumed), per_s=by_day(rate, assumed.swing), max_per_s=most, until_s=DAY_S, seed=1
    )
    report = Simulation(_fleet(slots), seed=1, sample_s=900.0).run(arrivals)
    waits_s = _waits_s(report)
    a_task_s = slot_s(load, measured, assumed) / computed_tasks(load)
    return Day(
        of_peak=of_peak,
        slots=slots,
        mean_wait_s=round(fmean(waits_s), 1),
        longest_wait_s=round(waits_s[-1], 1),
        backlog=[(at_s / 3600, round(tasks * a_task_s / slots, 1)) for at_s, tasks in report.backlog],
    )


def _fleet(slots: int) -> Fleet:
    """Return a fleet of one-slot processors, which see a task slightly sooner than those of eight slots."""
    return Fleet(processors=slots, slots=1)


def _waits_s(report: Report) -> list[float]:
    return sorted(one.waited_s for one in report.jobs)
