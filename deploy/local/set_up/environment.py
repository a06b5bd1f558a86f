"""The virtual environment itself: made, kept, or made again where it cannot work; nothing of what is installed in it.

The user never has to delete one. It is made again when its Python is gone, too old, of another version than its
packages, or not the one asked for, and when it was moved. A package that lost files is forgotten: pip then installs it.
"""

import csv
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from deploy.local.set_up.errors import SetUpError
from deploy.local.set_up.surroundings import say

OLDEST_PYTHON = (3, 11)
VERSION_AND_PIP = "import sys, pip; print(*sys.version_info[:2])"


def make_environment(venv: Path, *, this_python: bool) -> None:
    """Make sure of an environment that pip works in; `this_python`: of the version that runs this."""
    if can_stay(venv, this_python=this_python):
        say(f"{venv} is completed")
        return
    say(f"{venv} is made{' again' if venv.exists() else ''}; this takes about two minutes")
    command = [sys.executable, "-m", "venv", "--clear", str(venv)]
    made = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if made.returncode:
        raise SetUpError(f"{venv} could not be made: {last_line(made.stdout)}")


def can_stay(venv: Path, *, this_python: bool) -> bool:
    """Whether pip works there, in a Python that will do, at the path where it was made."""
    version = _version_with_pip(venv)
    fits = version == sys.version_info[:2] if this_python else version is not None and version >= OLDEST_PYTHON
    return fits and is_at_home(venv)


def is_at_home(venv: Path) -> bool:
    """Whether it is where it was made: its scripts name that path."""
    try:
        return str(venv.absolute()) in (venv / "bin" / "activate").read_text()
    except OSError:
        return False


def _version_with_pip(venv: Path) -> tuple[int, int] | None:
    """The version of its Python; None when that does not run or finds no pip."""
    try:
        command = [python_of(venv), "-I", "-c", VERSION_AND_PIP]
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        site_packages(venv)
    except (OSError, subprocess.CalledProcessError):
        return None
    return int(answer[0]), int(answer[1])


def forget_incomplete(venv: Path) -> None:
    """Drop the metadata of packages that lost files, or that pip was killed over: pip then installs them."""
    folder = site_packages(venv)
    for left in folder.glob("~*"):  # what pip had put aside when it was killed
        shutil.rmtree(left, ignore_errors=True)
    for metadata in folder.glob("*.dist-info"):
        if not metadata.name.startswith("pip-") and not _is_whole(metadata):
            shutil.rmtree(metadata)


def _is_whole(metadata: Path) -> bool:
    try:
        return all((metadata.parent / name).exists() for name in _files(metadata / "RECORD"))
    except OSError:
        return False


def _files(record: Path) -> Iterator[str]:
    with record.open(newline="") as rows:
        yield from (row[0] for row in csv.reader(rows) if row and not row[0].endswith(".pyc"))


def site_packages(venv: Path) -> Path:
    """Where its packages are; raises FileNotFoundError unless it has one such folder."""
    found = list((venv / "lib").glob("python*/site-packages"))
    if len(found) != 1:
        raise FileNotFoundError(f"{venv}/lib has {len(found)} folders of packages")
    return found[0]


def python_of(venv: Path) -> str:
    """Its interpreter."""
    return str(venv / "bin" / "python")


def last_line(output: str) -> str:
    """What a program said last, or its last line that begins with ERROR."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["it printed nothing"])[-1]
