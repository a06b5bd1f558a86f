"""What the simulation says of loads that no machine here could bear: waits by the number of slots, and a day's backlog.

It simulates a part of the fleet in proportion, one queue with its slots: more slots than that in one queue wait less.
"""

from collections.abc import Sequence
from statistics import fmean

import msgspec

from tests.benchmarks.scaling import erlang
from tests.benchmarks.scaling.fleet import Fleet, Report, Simulation
from tests.benchmarks.scaling.measured import Measured
from tests.benchmarks.scaling.sizing import Assumed, Load, slot_s
from tests.benchmarks.scaling.workload import DAY_S, Shape, SimulatedJob, by_day, poisson

RATIOS = (1.02, 1.05, 1.1, 1.2, 1.4)  # slots to the slots that are busy on average
PART = 40.0  # busy slots of the part that is simulated
TENANTS = 20
JOBS = {True: 4_000, False: 600}  # short, long: enough for a mean, few enough for a minute
DAYS_PART = 6.0  # busy slots, of the simulated day
OF_PEAK = (0.6, 0.8, 1.0)


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """Of all jobs, from the upload to the first claim; `erlang_s` is the mean of a plain queue of the same tasks."""

    load: str
    ratio: float
    slots: int
    mean_s: float
    p95_s: float
    erlang_s: float


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """A day that swings, served by slots for that share of its busiest moment."""

    of_peak: float
    slots: int
    mean_wait_s: float
    longest_wait_s: float
    backlog: list[tuple[float, float]]  # hours, seconds of waiting a slot


def shape(load: Load, measured: Measured, assumed: Assumed) -> Shape:
    """A job of the load: all are alike, of twenty tenants in turn."""
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
    """One point: so many slots for PART busy ones."""
    assumed = assumed or Assumed()
    a_job_s = slot_s(load, measured, assumed)
    rate, slots = PART / a_job_s, round(PART * ratio)
    until_s = JOBS[load.chunks == 1] / rate
    jobs = poisson(shape(load, measured, assumed), per_s=lambda _: rate, most_per_s=rate, until_s=until_s, seed=1)
    report = Simulation(_fleet(slots), seed=1).run(jobs)
    waits_s = _waits_s(report)
    a_task_s = a_job_s / (1 if load.chunks == 1 else load.chunks + 2)
    return Wait(
        load=load.name,
        ratio=ratio,
        slots=slots,
        mean_s=round(fmean(waits_s), 2),
        p95_s=round(waits_s[int(0.95 * len(waits_s))], 2),
        erlang_s=round(erlang.mean_wait_s(slots, PART, a_task_s), 2),
    )


def waits(loads: Sequence[Load], measured: Measured) -> list[Wait]:
    return [wait(load, measured, ratio) for load in loads for ratio in RATIOS]


def day(load: Load, measured: Measured, of_peak: float, assumed: Assumed | None = None) -> Day:
    """From midnight to midnight, and until what then waits is done."""
    assumed = assumed or Assumed()
    rate = DAYS_PART / slot_s(load, measured, assumed)
    most = rate * (1 + assumed.swing)
    slots = round(DAYS_PART * (1 + assumed.swing) * of_peak)
    arrivals = poisson(
        shape(load, measured, assumed), per_s=by_day(rate, assumed.swing), most_per_s=most, until_s=DAY_S, seed=1
    )
    report = Simulation(_fleet(slots), seed=1, sample_s=900.0).run(arrivals)
    waits_s = _waits_s(report)
    a_task_s = slot_s(load, measured, assumed) / (load.chunks + 2)
    return Day(
        of_peak=of_peak,
        slots=slots,
        mean_wait_s=round(fmean(waits_s), 1),
        longest_wait_s=round(waits_s[-1], 1),
        backlog=[(at_s / 3600, tasks * a_task_s / slots) for at_s, tasks in report.backlog],
    )


def _fleet(slots: int) -> Fleet:
    """Of one-slot processors, which see a task a little sooner than those of eight."""
    return Fleet(processors=slots, slots=1)


def _waits_s(report: Report) -> list[float]:
    return sorted(one.waited_s for one in report.jobs)
