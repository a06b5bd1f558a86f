"""The command. Exits 0 when the environment is ready, else 1 after one line."""

import argparse
import fcntl
import os
import sys
from pathlib import Path

# `python3 -I` finds the standard library only; the repository's root holds the rest of this package.
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from deploy.local.set_up.environment import forget_incomplete, make_environment
from deploy.local.set_up.errors import SetUpError
from deploy.local.set_up.install_torch import install_torch
from deploy.local.set_up.packages import CONSTRAINTS, install_packages, torch_pin
from deploy.local.set_up.pip import Pip
from deploy.local.set_up.ready import is_ready, not_ready, set_ready
from deploy.local.set_up.surroundings import check_surroundings, readable_size, say
from deploy.local.set_up.torch_build import read_wanted


def main(arguments: list[str]) -> int:
    """Make the environment, or only check it; the exit status."""
    parser = argparse.ArgumentParser(prog="set_up", description="Makes the development environment.")
    parser.add_argument("venv", type=Path)
    parser.add_argument("--check", action="store_true", help="change nothing: exit 0 if it is ready")
    parser.add_argument("--this-python", action="store_true", help="it must be of the Python that runs this")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.check:
            return 0 if is_ready(chosen.venv, read_wanted(os.environ, sys.platform)) else 1
        with CONSTRAINTS.open() as lock:  # several may run at a time; one works, the others wait
            fcntl.flock(lock, fcntl.LOCK_EX)
            _set_up(chosen.venv, this_python=chosen.this_python)
    except (SetUpError, OSError) as error:
        print(f"set-up: {error}", file=sys.stderr)
        return 1
    return 0


def _set_up(venv: Path, *, this_python: bool) -> None:
    wanted = read_wanted(os.environ, sys.platform)
    if is_ready(venv, wanted):
        return
    check_surroundings(os.environ)
    not_ready(venv)
    make_environment(venv, this_python=this_python)
    forget_incomplete(venv)
    pip = Pip(venv, os.environ)
    torch = install_torch(pip, torch_pin(), wanted, os.environ)
    install_packages(pip)
    set_ready(venv, torch)
    say(f"done, {readable_size(pip.fetched_bytes)} fetched")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
