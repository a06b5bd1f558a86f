"""Extract the code from before the newest migration from git into a folder.

It is the newest commit of the main line whose migrations are a proper prefix of the current ones, file for file.
Migrations at the end that belong to the phase `post` are ignored.
The services set no tenant before 0007 (row-level security). Older code therefore needs a superuser to see its rows.
CHANGELOG says to stop both services for 0007. Newer code works with any role.
"""

import io
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.migrate import MIGRATIONS
from tests.support.contracts.two_versions import migrations_before_post
from tests.support.stack.launched import ROOT

FOLDER = MIGRATIONS.relative_to(ROOT).as_posix()
ROW_LEVEL_SECURITY = "0007_row_level_security"
CODE = ("shared", "ingest_service", "processor_service", "deploy")

Files = list[tuple[str, str]]  # name and git's hash of each


def before_newest_migration() -> str:
    """Return the commit. Skip the test if the git history does not contain it."""
    if _git("rev-parse", "--git-dir") is None:
        pytest.skip("no git history: the code before the newest migration is not available")
    current = [
        (each.name, _git_output("hash-object", f"{FOLDER}/{each.name}.sql")) for each in migrations_before_post()
    ]
    for commit in _candidates():
        old = set(_migrations_of(commit))
        if old and old < set(current) and old == set(current[: len(old)]):
            return commit
    pytest.skip("shallow clone: the git history does not reach back before the newest migration")


def needs_superuser(commit: str) -> bool:
    return ROW_LEVEL_SECURITY not in dict(_migrations_of(commit))


def extract(commit: str, folder: Path) -> None:
    """Extract the code of a commit into a folder."""
    archive = subprocess.run(["git", "archive", commit, *CODE], cwd=ROOT, check=True, capture_output=True).stdout  # noqa: S607 - git from the PATH
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")


def _candidates() -> Iterator[str]:
    """Yield HEAD, then each commit of the main line before a change of the migrations, newest first."""
    yield "HEAD"
    for changed in _git_output("rev-list", "--first-parent", "HEAD", "--", FOLDER).split():
        if before := _git("rev-parse", "--quiet", "--verify", f"{changed}^1"):
            yield before


def _migrations_of(commit: str) -> Files:
    lines = _git_output("ls-tree", commit, f"{FOLDER}/").splitlines()
    return [(Path(line.split("\t")[1]).stem, line.split()[2]) for line in lines if line.endswith(".sql")]


def _git_output(*arguments: str) -> str:
    output = _git(*arguments)
    assert output is not None, arguments
    return output


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, check=False, capture_output=True, text=True)  # noqa: S607 - git from the PATH
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
