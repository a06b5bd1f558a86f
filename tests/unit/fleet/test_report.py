"""The report of `make fleet` counts lost and duplicated jobs and lists every violation."""

import json

import msgspec

from shared.schemas.states import JobStatus
from tests.tools.chaos.facts import Facts
from tests.tools.chaos.healthy_world import DEAD_JOB, JOB, ended, healthy, job_row, numbered
from tests.tools.fleet.report import Report, report, skipped

FIGURES = {"demo": {"upload_to_webhook_s": 4.5}}


def of(facts: Facts, *violations: str) -> Report:
    return report(facts, FIGURES, violations, seed=7, seconds=300.4)


def test_a_healthy_fleet_has_no_lost_or_duplicated_jobs() -> None:
    found = of(healthy())
    assert (found["lost"], found["doubled"], found["violations"]) == (0, 0, [])
    assert (found["skipped"], found["seed"], found["seconds"], found["scenarios"]) == (False, 7, 300, FIGURES)
    assert json.loads(json.dumps(found)) == found


def test_a_missing_job_is_counted_and_reported_as_lost() -> None:
    found = of(msgspec.structs.replace(healthy(), jobs={DEAD_JOB: job_row(DEAD_JOB, JobStatus.FAILED)}))
    assert found["lost"] == 1
    assert any("is lost" in violation for violation in found["violations"])  # type: ignore[attr-defined]


def test_a_job_that_ended_twice_is_counted_as_doubled() -> None:
    twice = numbered(*healthy().changes, ended(JOB, JobStatus.COMPLETED))
    found = of(msgspec.structs.replace(healthy(), changes=twice))
    assert (found["lost"], found["doubled"]) == (0, 1)


def test_a_scenarios_violations_are_reported() -> None:
    assert of(healthy(), "long_file: too slow")["violations"] == ["long_file: too slow"]


def test_a_skipped_run_gives_the_reason() -> None:
    assert skipped("Needs root.") == {"skipped": True, "why": "Needs root."}
