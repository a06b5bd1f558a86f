"""The command. Exits with 0 if the environment is ready, else with 1 and one line."""

import argparse
import fcntl
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

# `python3 -I` finds the standard library only. Add the repository's root.
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from deploy.local.set_up.environment import forget_incomplete, is_at_home, make_environment, python_of, site_packages
from deploy.local.set_up.install_torch import install_torch
from deploy.local.set_up.pip import CONSTRAINTS, INPUTS, Pip, install_packages, torch_pin
from deploy.local.set_up.surroundings import SetUpError, check_surroundings, readable_size, say
from deploy.local.set_up.torch_build import fits, read_wanted


def main(arguments: list[str]) -> int:
    """Create or check the environment. Return the exit status."""
    parser = argparse.ArgumentParser(prog="set_up", description="Create the development environment.")
    parser.add_argument("venv", type=Path)
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 0 if the environment is ready")
    parser.add_argument("--this-python", action="store_true", help="require the version of the Python that runs this")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.check:
            return 0 if _is_ready(chosen.venv, read_wanted(os.environ, sys.platform)) else 1
        with CONSTRAINTS.open() as lock:  # one set-up at a time; others wait
            fcntl.flock(lock, fcntl.LOCK_EX)
            _set_up(chosen.venv, this_python=chosen.this_python)
    except (SetUpError, OSError) as error:
        print(f"set-up: {error}", file=sys.stderr)
        return 1
    return 0


def _set_up(venv: Path, *, this_python: bool) -> None:
    wanted = read_wanted(os.environ, sys.platform)
    if _is_ready(venv, wanted):
        return
    check_surroundings(os.environ)
    _mark_not_ready(venv)
    make_environment(venv, this_python=this_python)
    forget_incomplete(venv)
    pip = Pip(venv, os.environ)
    torch = install_torch(pip, torch_pin(), wanted, os.environ)
    install_packages(pip)
    _mark_ready(venv, torch)
    say(f"done, {readable_size(pip.fetched_bytes)} downloaded")


# `.venv/ready` is written last and read first. It is out of date if pyproject.toml, deploy/constraints.txt or Python's
# version changed, if .venv was moved or lost a package, or if TORCH asks for another build.


def _is_ready(venv: Path, wanted: str | None) -> bool:
    """Return whether the environment is up to date, for the Python that runs this."""
    try:
        made: dict[str, Any] = json.loads((venv / "ready").read_text())
        same = made["inputs"] == _inputs() and made["python"] == _python_version()
        whole = set(made["contents"]) <= set(_contents(venv))
        return same and whole and is_at_home(venv) and Path(python_of(venv)).exists() and fits(made["torch"], wanted)
    except (OSError, ValueError, KeyError, TypeError):
        return False  # the file is missing or of an older format


def _mark_not_ready(venv: Path) -> None:
    """Remove the mark before anything changes."""
    (venv / "ready").unlink(missing_ok=True)


def _mark_ready(venv: Path, torch: str) -> None:
    """Write the mark as the last step. `torch`: its version with the local part."""
    version = site_packages(venv).parent.name.removeprefix("python")  # set-up may run with another Python
    made = {"inputs": _inputs(), "python": version, "torch": torch, "contents": _contents(venv)}
    fresh = venv / "ready.new"
    fresh.write_text(json.dumps(made))
    fresh.rename(venv / "ready")


def _inputs() -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in INPUTS)).hexdigest()


def _python_version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _contents(venv: Path) -> list[str]:
    """Return modules and packages, without metadata: a user may install another version of a package."""
    return sorted(path.name for path in site_packages(venv).iterdir() if path.suffix != ".dist-info")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
