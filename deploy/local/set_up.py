"""Makes the development environment: `python3 -I deploy/local/set_up.py .venv`, run by make when something changed.

Needs the standard library only, since nothing else is there yet. Installs the pinned versions and nothing they declare:
deploy/constraints.txt says why. Several may run at a time; one works, the others wait.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import IO

CONSTRAINTS = Path("deploy/constraints.txt")
SAY_EVERY = 20
NO_COMPILER = "There is no C compiler here; a package that has no build for this machine could not be compiled."
NO_TORCH = (
    "torch cannot be loaded. On Linux it must be a CPU build: name an index or a folder that has it in pip's own"
    " configuration (PIP_EXTRA_INDEX_URL or PIP_FIND_LINKS), remove .venv and run this again."
)


class SetUpError(Exception):
    """The environment could not be made; the message is one line."""


def main(venv: Path) -> int:
    """Make the environment; the exit status."""
    try:
        with CONSTRAINTS.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            _set_up(venv)
    except (SetUpError, OSError) as error:
        print(f"set-up: {error}", file=sys.stderr)
        return 1
    return 0


def _set_up(venv: Path) -> None:
    ready = venv / "ready"
    inputs = (Path("pyproject.toml"), CONSTRAINTS)
    if ready.exists() and all(ready.stat().st_mtime >= path.stat().st_mtime for path in inputs):
        return  # another one did it while we waited
    print(f"set-up: {venv} is made, once; this takes about two minutes", flush=True)
    if shutil.which(os.environ.get("CC", "cc")) is None:
        print(f"set-up: {NO_COMPILER}", flush=True)
    _make_venv(venv)
    _log_of(venv).write_text("")
    _install_packages(venv)
    _pip(venv, ["--no-build-isolation", "--editable", "."], "Headrace itself could not be installed")
    if subprocess.run([_python(venv), "-c", "import torch"], check=False, stderr=subprocess.DEVNULL).returncode:
        raise SetUpError(NO_TORCH)
    ready.touch()
    print("set-up: done", flush=True)


def _make_venv(venv: Path) -> None:
    if find_spec("venv") is None or find_spec("ensurepip") is None:
        raise SetUpError("This Python has no module venv (Debian: apt-get install python3-venv).")
    if _works(venv):
        return
    command = [sys.executable, "-m", "venv", "--clear", str(venv)]
    made = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if made.returncode:
        raise SetUpError(f"{venv} could not be made: {_last_line(made.stdout)}")


def _works(venv: Path) -> bool:
    """Whether there is an environment already that was not moved here or half made."""
    command = [_python(venv), "-m", "pip", "--version"]
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def _install_packages(venv: Path) -> None:
    count = sum(1 for line in CONSTRAINTS.read_text().splitlines() if line and not line.startswith("#"))
    print(f"set-up: {count} packages; torch is the largest, about 200 MB", flush=True)
    _pip(venv, ["--requirement", str(CONSTRAINTS)], "The packages could not be installed", count)


def _pip(venv: Path, arguments: list[str], failure: str, count: int = 0) -> None:
    """Run pip install, its words kept in a file, its progress shown in a few lines."""
    command = [_python(venv), "-m", "pip", "install", "--no-deps", "--progress-bar", "off", *arguments]
    log = _log_of(venv)
    with log.open("a") as file, _started(command) as pip:
        _follow(pip.stdout or iter(()), file, count)
    if pip.returncode:
        raise SetUpError(f"{failure}: {_last_line(log.read_text())} (all of it: {log})")


def _started(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _follow(lines: Iterable[str], log: IO[str], count: int) -> None:
    """Copy pip's output, and say how far it is."""
    collected = 0
    for line in lines:
        log.write(line)
        if line.startswith(("Collecting", "Processing /")):  # the latter from a folder
            collected += 1
            if collected % SAY_EVERY == 0:
                print(f"set-up:   {collected} of {count} fetched", flush=True)
        elif line.startswith("Installing collected packages") and count:
            print("set-up:   installing them", flush=True)


def _log_of(venv: Path) -> Path:
    return venv / "set-up.log"


def _python(venv: Path) -> str:
    return str(venv / "bin" / "python")


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["it said nothing"])[-1]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
