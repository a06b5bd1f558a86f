"""The virtual environment without its packages: create it, keep it, or create it again.

It is created again if its Python is missing, too old, of another version than its packages, or not the requested one,
and if it was moved. The metadata of packages that lost files is deleted, so that pip installs them again.
"""

import csv
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from deploy.local.set_up.surroundings import SetUpError, say

OLDEST_PYTHON = (3, 11)
VERSION_AND_PIP = "import sys, pip; print(*sys.version_info[:2])"


def make_environment(venv: Path, *, this_python: bool) -> None:
    """Ensure an environment in which pip works. `this_python`: of the version that runs this."""
    if can_stay(venv, this_python=this_python):
        say(f"completing {venv}")
        return
    say(f"creating {venv}{' again' if venv.exists() else ''}; this takes about two minutes")
    command = [sys.executable, "-m", "venv", "--clear", str(venv)]
    created = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if created.returncode:
        raise SetUpError(f"Cannot create {venv}: {last_line(created.stdout)}")


def can_stay(venv: Path, *, this_python: bool) -> bool:
    """Return whether pip works there, its Python fits, and it was not moved."""
    version = _version_with_pip(venv)
    fits = version == sys.version_info[:2] if this_python else version is not None and version >= OLDEST_PYTHON
    return fits and is_at_home(venv)


def is_at_home(venv: Path) -> bool:
    """Return whether it is at its original path, which its scripts contain."""
    try:
        return str(venv.absolute()) in (venv / "bin" / "activate").read_text()
    except OSError:
        return False


def _version_with_pip(venv: Path) -> tuple[int, int] | None:
    """Return the version of its Python, or None if Python or pip does not run."""
    try:
        command = [python_of(venv), "-I", "-c", VERSION_AND_PIP]
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        site_packages(venv)
    except (OSError, subprocess.CalledProcessError):
        return None
    return int(answer[0]), int(answer[1])


def forget_incomplete(venv: Path) -> None:
    """Delete the metadata of incomplete packages, so that pip installs them again."""
    folder = site_packages(venv)
    for left in folder.glob("~*"):  # temporary folders of a pip that was killed
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
    """Return the folder of its packages. Raise FileNotFoundError unless there is exactly one."""
    found = list((venv / "lib").glob("python*/site-packages"))
    if len(found) != 1:
        raise FileNotFoundError(f"{venv}/lib has {len(found)} site-packages folders")
    return found[0]


def python_of(venv: Path) -> str:
    """Return the path of its interpreter."""
    return str(venv / "bin" / "python")


def last_line(output: str) -> str:
    """Return the last line that starts with ERROR, else the last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["no output"])[-1]
