"""The code of before the newest migration, out of git, in a folder of its own.

That is the newest commit of the main line whose migrations are those of now without the last ones, file for file; what
is applied in `post` at the end does not count.
Before 0007 (row-level security) the services named no tenant, so code of before it sees its rows only as a superuser:
CHANGELOG says to stop both for it. From there on any role will do.
"""

import io
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.migrate import MIGRATIONS
from tests.contracts.two_versions import while_two_run
from tests.stack.launched import ROOT

FOLDER = MIGRATIONS.relative_to(ROOT).as_posix()
WALLED_OFF = "0007_row_level_security"
CODE = ("shared", "ingest_service", "processor_service", "deploy")

Files = list[tuple[str, str]]  # name and git's hash of each


def before_newest_migration() -> str:
    """The commit; the test is skipped where the history does not tell it."""
    if _git("rev-parse", "--git-dir") is None:
        pytest.skip("there is no git history here, so no code of before")
    now = [(each.name, _said("hash-object", f"{FOLDER}/{each.name}.sql")) for each in while_two_run()]
    for commit in _candidates():
        then = set(_migrations_of(commit))
        if then and then < set(now) and then == set(now[: len(then)]):
            return commit
    pytest.skip("the git history does not reach back to before the newest migration: a shallow clone")


def needs_superuser(commit: str) -> bool:
    return WALLED_OFF not in dict(_migrations_of(commit))


def extract(commit: str, folder: Path) -> None:
    """Put its code there."""
    archive = subprocess.run(["git", "archive", commit, *CODE], cwd=ROOT, check=True, capture_output=True).stdout  # noqa: S607 - whichever git there is
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")


def _candidates() -> Iterator[str]:
    """The newest commit of each stretch of the main line in which the migrations did not change, newest first."""
    yield "HEAD"
    for changed in _said("rev-list", "--first-parent", "HEAD", "--", FOLDER).split():
        if before := _git("rev-parse", "--quiet", "--verify", f"{changed}^1"):
            yield before


def _migrations_of(commit: str) -> Files:
    lines = _said("ls-tree", commit, f"{FOLDER}/").splitlines()
    return [(Path(line.split("\t")[1]).stem, line.split()[2]) for line in lines if line.endswith(".sql")]


def _said(*arguments: str) -> str:
    said = _git(*arguments)
    assert said is not None, arguments
    return said


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, check=False, capture_output=True, text=True)  # noqa: S607 - as above
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
