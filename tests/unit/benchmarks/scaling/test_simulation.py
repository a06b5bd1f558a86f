"""The simulation loses no job, orders tasks as the queue does, and agrees with known formulas."""

import heapq
import random
from collections import Counter
from collections.abc import Iterator
from statistics import fmean

import msgspec
import pytest

from processor_service.settings import ProcessorSettings
from shared.schemas.states import JobStatus
from tests.tools.benchmarks.scaling import erlang
from tests.tools.benchmarks.scaling.fleet import Fleet, Report
from tests.tools.benchmarks.scaling.simulation import Simulation
from tests.tools.benchmarks.scaling.workload import DAY_S, SimulatedJob, by_day, poisson


def _job(number: int, at_s: float, *chunks_s: float, tenant: str = "default", cost_s: int = 60) -> SimulatedJob:
    return SimulatedJob(
        number=number,
        at_s=at_s,
        prepare_s=1.0,
        chunks_s=chunks_s or (10.0,),
        finish_s=2.0,
        tenant=tenant,
        cost_s=cost_s,
    )


def _at_once(**fields: float) -> Fleet:
    return msgspec.structs.replace(Fleet(processors=1), **fields)


def _mixed(number: int) -> Iterator[SimulatedJob]:
    rng = random.Random(3)
    for one in range(number):
        chunks_s = [rng.uniform(1, 20) for _ in range(rng.choice((1, 1, 3, 8)))]
        yield _job(one, one * 3.0, *chunks_s, tenant=f"t{one % 5}")


def _statuses(report: Report) -> Counter[JobStatus]:
    return Counter(one.status for one in report.jobs)


def test_a_short_job_is_processed_under_one_lease() -> None:
    (ended,) = Simulation(_at_once()).run([_job(0, 5.0, 10.0)]).jobs

    assert (ended.waited_s, ended.took_s) == (0.0, 13.0)


def test_a_long_jobs_chunks_share_the_slots_and_finish_comes_last() -> None:
    report = Simulation(_at_once(slots=2)).run([_job(0, 0.0, 10.0, 10.0, 10.0)])

    assert report.jobs[0].took_s == 1.0 + 20.0 + 2.0
    assert (report.tasks, report.attempts, report.busy_s) == (5, 5, 33.0)


def test_another_tenants_one_job_does_not_wait_for_a_hundred() -> None:
    jobs = [*(_job(number, 0.0, tenant="many") for number in range(100)), _job(100, 1.0, tenant="one")]

    report = Simulation(_at_once(slots=2)).run(jobs)

    assert report.jobs[100].waited_s < 13.0 < max(one.waited_s for one in report.jobs)


def test_with_failures_and_crashes_every_job_ends_once() -> None:
    fleet = Fleet(processors=6, slots=2, failing=0.2, deaths_per_s=1 / 120)

    report = Simulation(fleet, seed=1).run(_mixed(400))

    statuses = _statuses(report)
    assert statuses.total() == 400
    assert set(statuses) == {JobStatus.COMPLETED, JobStatus.FAILED}
    assert statuses[JobStatus.COMPLETED] > statuses[JobStatus.FAILED]
    assert report.lost > 20
    assert report.failures > 20
    assert all(one.begun_s >= one.job.at_s and one.ended_s > one.begun_s for one in report.jobs)


def test_without_faults_the_slots_do_the_jobs_work_exactly_once() -> None:
    report = Simulation(Fleet(processors=3, slots=2)).run(_mixed(300))

    assert _statuses(report) == {JobStatus.COMPLETED: 300}
    assert report.attempts == report.tasks
    assert report.busy_s == pytest.approx(sum(job.slot_s for job in _mixed(300)))


def test_a_lost_task_waits_for_its_lease_and_runs_again() -> None:
    report = Simulation(_at_once(deaths_per_s=1 / 40, rescue_s=16.0, restart_s=1.0), seed=1).run([_job(0, 0.0, 20.0)])

    assert report.lost == 1
    assert report.jobs[0].took_s > 23.0 + 16.0


def test_the_third_processor_lost_under_a_task_ends_its_job() -> None:
    report = Simulation(_at_once(deaths_per_s=1 / 40, rescue_s=16.0, restart_s=1.0), seed=16).run([_job(0, 0.0, 20.0)])

    assert (report.lost, report.jobs[0].status) == (3, JobStatus.FAILED)


def test_four_failed_attempts_are_a_failed_job_after_10_20_and_40_seconds() -> None:
    report = Simulation(_at_once(failing=1.0)).run([_job(0, 0.0)])

    assert (report.attempts, report.jobs[0].status) == (4, JobStatus.FAILED)
    assert 70 + 4 * 13 <= report.jobs[0].took_s <= 77 + 4 * 13


def test_the_other_chunks_of_a_failed_job_do_not_start() -> None:
    fleet = msgspec.structs.replace(_at_once(failing=0.3), retry_waits_s=())

    report = Simulation(fleet, seed=5).run([_job(0, 0.0, *[10.0] * 30), _job(1, 5000.0)])

    assert (report.jobs[0].status, report.tasks) == (JobStatus.FAILED, 32)
    assert 2 < report.attempts < 20


def test_retries_go_before_tasks_that_have_not_started() -> None:
    fleet = msgspec.structs.replace(_at_once(failing=0.2), retry_waits_s=(5.0, 5.0, 5.0))

    report = Simulation(fleet, seed=4).run(_job(number, 0.0) for number in range(30))

    assert report.failures > 3
    assert max(one.took_s - one.waited_s for one in report.jobs) < 4 * 13 + 3 * (5.5 + 13)


def test_the_simulations_times_are_the_services_defaults() -> None:
    defaults = {field.name: field.default for field in msgspec.structs.fields(ProcessorSettings)}
    fleet = Fleet(processors=1)

    assert fleet.retry_waits_s == defaults["retry_waits_s"]
    assert defaults["lease_s"] < fleet.rescue_s <= defaults["lease_s"] + 2


def _plain(slots: int, load: float, jobs: int) -> list[SimulatedJob]:
    """Return jobs with exponential arrival intervals and service times of 10 s."""
    rng = random.Random(102)

    def shape(number: int, at_s: float) -> SimulatedJob:
        work_s = rng.expovariate(1 / 10)
        return SimulatedJob(number=number, at_s=at_s, prepare_s=0.0, chunks_s=(work_s,), finish_s=0.0)

    rate = load * slots / 10
    return list(poisson(shape, per_s=lambda _: rate, max_per_s=rate, until_s=jobs / rate, seed=2))


def test_one_tenants_short_jobs_wait_as_in_a_fifo_queue() -> None:
    jobs = _plain(4, 0.9, 3000)
    free_at_s, waits_s = [0.0] * 4, []
    for job in jobs:
        begun_s = max(job.at_s, heapq.heappop(free_at_s))
        heapq.heappush(free_at_s, begun_s + job.slot_s)
        waits_s.append(begun_s - job.at_s)

    report = Simulation(_at_once(slots=4)).run(jobs)

    assert [one.waited_s for one in report.jobs] == pytest.approx(waits_s)


@pytest.mark.parametrize(("slots", "load"), [(4, 0.7), (12, 0.8)])
def test_a_simple_queues_mean_wait_matches_erlangs_formula(slots: int, load: float) -> None:
    jobs = _plain(slots, load, 20_000)
    service_s = fmean(job.slot_s for job in jobs)
    offered = sum(job.slot_s for job in jobs) / jobs[-1].at_s  # as rng

    report = Simulation(_at_once(slots=slots)).run(jobs)

    expected_s = erlang.mean_wait_s(slots, offered, service_s)
    assert fmean(one.waited_s for one in report.jobs) == pytest.approx(expected_s, rel=0.1)


def test_erlangs_formula_has_its_known_values() -> None:
    assert erlang.chance_of_waiting(1, 0.5) == pytest.approx(0.5)
    assert erlang.chance_of_waiting(2, 1.0) == pytest.approx(1 / 3)
    assert erlang.mean_wait_s(1, 0.5, 10.0) == pytest.approx(10.0)
    assert erlang.slots_for(0.5, 10.0, share=0.9, within_s=1000.0) == 1
    assert erlang.slots_for(100.0, 10.0, share=0.95, within_s=1.0) in range(105, 125)


def test_arrivals_follow_the_day() -> None:
    rate = by_day(0.05, 0.8)
    jobs = list(poisson(_job, per_s=rate, max_per_s=0.09, until_s=DAY_S, seed=1))

    noon = sum(DAY_S / 4 <= job.at_s < 3 * DAY_S / 4 for job in jobs)
    assert len(jobs) == pytest.approx(0.05 * DAY_S, rel=0.05)
    assert noon / len(jobs) == pytest.approx(0.5 + 0.8 / 3.14159, abs=0.02)
