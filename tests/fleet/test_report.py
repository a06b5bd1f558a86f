"""What `make fleet` says of a run: what was lost or doubled is counted, and every violation is told."""

import json

import msgspec

from shared.schemas.states import JobStatus
from tests.chaos.facts import Facts
from tests.chaos.healthy_world import DEAD_JOB, JOB, ended, healthy, job_row, numbered
from tests.fleet.report import Report, report, skipped

FIGURES = {"demo": {"upload_to_webhook_s": 4.5}}


def of(facts: Facts, *violations: str) -> Report:
    return report(facts, FIGURES, violations, seed=7, seconds=300.4)


def test_a_healthy_fleet_has_lost_and_doubled_nothing() -> None:
    found = of(healthy())
    assert (found["lost"], found["doubled"], found["violations"]) == (0, 0, [])
    assert (found["skipped"], found["seed"], found["seconds"], found["scenarios"]) == (False, 7, 300, FIGURES)
    assert json.loads(json.dumps(found)) == found


def test_a_job_that_is_gone_is_lost_and_told() -> None:
    found = of(msgspec.structs.replace(healthy(), jobs={DEAD_JOB: job_row(DEAD_JOB, JobStatus.FAILED)}))
    assert found["lost"] == 1
    assert any("is lost" in violation for violation in found["violations"])  # type: ignore[attr-defined]


def test_a_job_that_ended_twice_is_doubled() -> None:
    twice = numbered(*healthy().changes, ended(JOB, JobStatus.COMPLETED))
    found = of(msgspec.structs.replace(healthy(), changes=twice))
    assert (found["lost"], found["doubled"]) == (0, 1)


def test_what_a_scenario_found_is_told_with_the_invariants() -> None:
    assert of(healthy(), "long_file: too slow")["violations"] == ["long_file: too slow"]


def test_a_fleet_that_is_not_allowed_says_so_and_why() -> None:
    assert skipped("This is no root.") == {"skipped": True, "why": "This is no root."}
