"""The two phases of a deployed migration: `pre` runs at once, `post` is suspended until an operator resumes it."""

import pytest

from deploy.migrate import _parser
from tests.support.deployables.composed import SERVICES
from tests.support.deployables.manifests import FOLDER, built, container, read

pytestmark = pytest.mark.process

LABEL = "app.kubernetes.io/component"
COMMAND = ["python", "-m", "deploy.migrate", "--phase"]


def test_kubernetes_has_a_job_per_phase_and_the_second_is_suspended() -> None:
    jobs = {job["metadata"]["name"]: job for job in read(FOLDER / "base/migrate.yaml")}
    commands = {name: container(job["spec"]["template"])["command"] for name, job in jobs.items()}
    assert commands == {"headrace-migrate": [*COMMAND, "pre"], "headrace-migrate-post": [*COMMAND, "post"]}
    assert [name for name, job in jobs.items() if job["spec"].get("suspend")] == ["headrace-migrate-post"]
    for command in commands.values():
        assert _parser().parse_args(command[3:])


def test_both_jobs_can_be_selected_by_their_label(overlay: str) -> None:
    labelled = [each for each in built(overlay) if each["metadata"].get("labels", {}).get(LABEL) == "migrate"]
    assert [(each["kind"], each["metadata"]["name"]) for each in labelled] == [
        ("Job", "headrace-migrate"),
        ("Job", "headrace-migrate-post"),
    ]


def test_compose_migrates_before_the_new_version_starts() -> None:
    assert SERVICES["migrate"]["command"] == [*COMMAND, "pre"]
