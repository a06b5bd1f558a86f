"""The pinned packages other than torch, and Headrace itself, editable."""

import re
from pathlib import Path

from deploy.local.set_up.pip import Pip
from deploy.local.set_up.surroundings import SetUpError, say

CONSTRAINTS = Path("deploy/constraints.txt")
INPUTS = (Path("pyproject.toml"), CONSTRAINTS)
TORCH = re.compile(r"torch==[^\s;+]+")


def install_packages(pip: Pip) -> None:
    """Install them without their dependencies. Raise SetUpError."""
    lines = [line for line in _pins() if not TORCH.match(line)]
    pins = pip.venv / "packages.txt"
    pins.write_text("\n".join(lines) + "\n")
    say(f"installing {len(lines)} packages besides torch")
    pip.install(["--no-deps", "--requirement", str(pins)], "Cannot install the packages", len(lines))
    headrace = ["--no-deps", "--no-build-isolation", "--editable", "."]
    pip.install(headrace, "Cannot install Headrace itself")


def torch_pin() -> str:
    """Return the pin of torch, such as `torch==2.13.0`."""
    for line in _pins():
        if found := TORCH.match(line):
            return found[0]
    raise SetUpError(f"{CONSTRAINTS} has no pin for torch.")


def _pins() -> list[str]:
    lines = map(str.strip, CONSTRAINTS.read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]
