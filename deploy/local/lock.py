"""Resolves all versions; writes deploy/constraints*.txt and deploy/requirements-*.txt: `make lock`. Installs nothing.

One resolution is for all machines and Pythons of platforms.py; a line with a marker is for some of them. NVIDIA's
libraries and triton, which a CPU has no use for, are left out. `--keep` changes only the versions that must change.
"""

import re
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement

from deploy.local.platforms import MACHINES, PYTHONS

CONSTRAINTS = Path("deploy/constraints.txt")
BENCH, BENCH_CONSTRAINTS = "bench", Path("deploy/constraints-bench.txt")  # its header says what for
DEPLOYED = ("ingest", "processor", "faster-whisper", "deepfilternet", "otel")  # extras that get a file of their own
FOR_GPUS = re.compile(r"(nvidia|cuda|triton)(-|$)")
BUILD_TOOLS = "setuptools\nwheel\n"  # the editable install builds without isolation


class LockError(Exception):
    """There is no solution; the message is uv's."""


def main(arguments: list[str]) -> int:
    """Write the files; the exit status."""
    extras = tomllib.loads(Path("pyproject.toml").read_text())["project"]["optional-dependencies"]
    preferred = CONSTRAINTS.read_text() if "--keep" in arguments else ""
    bench_preferred = BENCH_CONSTRAINTS.read_text() + preferred if preferred else ""
    try:
        pins = _resolve(set(extras) - {BENCH}, preferred, BUILD_TOOLS)
        _write(CONSTRAINTS, pins)
        _write(BENCH_CONSTRAINTS, set(_resolve({BENCH}, bench_preferred)) - set(pins))
        for extra in DEPLOYED:
            _write(Path(f"deploy/requirements-{extra}.txt"), set(_resolve({extra}, "\n".join(pins))) & set(pins))
    except LockError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _write(path: Path, pins: Iterable[str]) -> None:
    """Write the pins under the comment that the file begins with."""
    comment = [line for line in path.read_text().splitlines() if line.startswith("#")]
    lines = sorted(pins, key=lambda pin: pin.partition("==")[0])
    path.write_text("\n".join([*comment, *lines]) + "\n")
    print(f"{path}: {len(lines)} versions")


def _resolve(extras: Iterable[str], preferred: str, besides: str = "") -> list[str]:
    """What extras need on all machines together, in the preferred versions where they do; raises LockError."""
    with tempfile.NamedTemporaryFile("w+", suffix=".txt") as output:
        output.write(preferred)
        output.flush()
        uv = [str(Path(sysconfig.get_path("scripts")) / "uv"), "pip", "compile", "--no-config", "--quiet"]
        how = ["--universal", "--python-version", PYTHONS[0], "--fork-strategy", "fewest"]
        shape = ["--no-annotate", "--no-header", "--output-file", output.name]
        wanted = [f"--extra={extra}" for extra in sorted(extras)]
        answer = subprocess.run(
            [*uv, *how, *shape, *wanted, "pyproject.toml", "-"],
            check=False,
            input=besides,
            stderr=subprocess.PIPE,
            text=True,
        )
        if answer.returncode:
            raise LockError(answer.stderr)
        return list(filter(None, map(_pin, Path(output.name).read_text().splitlines())))


def _pin(line: str) -> str | None:
    """A line of the file; its marker stays where the machines differ in it. None for what none of them needs."""
    requirement = Requirement(line)
    needed = [_holds(requirement, python, patch) for python in PYTHONS for patch in (0, 99)]
    if FOR_GPUS.match(requirement.name) or not any(any(each) for each in needed):
        return None
    return line.partition(" ;")[0] if all(all(each) for each in needed) else line


def _holds(requirement: Requirement, python: str, patch: int) -> list[bool]:
    """Whether each of the machines needs it, with a release of a Python."""
    release = {"python_full_version": f"{python}.{patch}"}
    marker = requirement.marker
    return [marker is None or marker.evaluate(machine.environment(python) | release) for machine in MACHINES]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
