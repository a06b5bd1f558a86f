"""The Dockerfiles: checks in addition to hadolint in `make check`."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.support.deployables.dockerfile import COMMAND, INGEST, PROCESSOR, Dockerfile, is_in_context
from tests.support.stack.launched import ROOT

ALL = pytest.mark.parametrize("path", [INGEST, PROCESSOR, COMMAND], ids=lambda path: path.stem)
BOTH = pytest.mark.parametrize("path", [INGEST, PROCESSOR], ids=lambda path: path.stem)


@ALL
def test_the_base_image_has_a_full_version(path: Path) -> None:
    base = re.search(r"^ARG PYTHON_IMAGE=(.+)$", path.read_text(), re.MULTILINE)
    assert base
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+(@sha256:[0-9a-f]{64})?", base[1])


def test_all_have_the_same_base() -> None:
    bases = {
        re.findall(r"^ARG PYTHON_IMAGE=(.+)$", path.read_text(), re.MULTILINE)[0]
        for path in (INGEST, PROCESSOR, COMMAND)
    }
    assert len(bases) == 1


@ALL
def test_the_image_runs_as_an_unprivileged_user(path: Path) -> None:
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", Dockerfile(path).only("USER"))


@ALL
def test_the_image_contains_no_build_tools(path: Path) -> None:
    image = Dockerfile(path).image
    assert all(each.rest.startswith("--from=") for each in image if each.name in ("COPY", "ADD"))
    runs = " ".join(each.rest for each in image if each.name == "RUN")
    assert "pip uninstall --yes --root-user-action ignore wheel setuptools pip" in runs
    assert not re.search(r"apt|pip install|gcc|curl", runs)
    everything = " ".join(each.rest for each in Dockerfile(path).instructions)
    assert re.search(r"/opt/headrace/bin/pip uninstall --yes (pip setuptools|setuptools pip)", everything)


@BOTH
def test_the_health_check_uses_the_served_port(path: Path) -> None:
    dockerfile = Dockerfile(path)
    port = dockerfile.environ.get("HEADRACE_PORT") or dockerfile.environ["HEADRACE_HEALTH_PORT"]
    assert dockerfile.only("EXPOSE") == port
    assert dockerfile.health_command == ["python", "-m", "deploy.probe", port, "/health/live"]


def test_the_processors_build_arguments_select_cpu_or_gpu_and_models() -> None:
    text = PROCESSOR.read_text()
    assert "ARG TORCH=cpu" in text
    assert 'ARG MODELS="base speakers"' in text
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = set(re.findall(r"(?:EXTRAS=|Or |or )(processor[a-z,-]*)", text))
    assert named
    assert {extra for names in named for extra in names.split(",")} <= set(extras)


@pytest.mark.parametrize(
    ("path", "is_included"),
    [
        ("pyproject.toml", True),
        ("deploy/requirements-processor.txt", True),
        ("deploy/migrations/0001_jobs_and_tasks.sql", True),
        ("shared/queue/fair_shares.lua", True),
        ("shared/queue/take_tasks.lua", True),
        ("ingest_service/app.py", True),
        ("deploy/secrets/ingest.env", False),
        ("deploy/local/demo.py", False),
        ("deploy/example.env", False),
        ("ingest_service/__pycache__/app.cpython-311.pyc", False),
        ("tests/conftest.py", False),
        (".headrace/run/stack.env", False),
        (".git/config", False),
    ],
)
def test_the_build_context_has_the_sources_and_no_secrets(path: str, is_included: bool) -> None:  # noqa: FBT001 - a table
    assert is_in_context(Path(path)) is is_included
