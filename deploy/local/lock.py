"""Resolves all versions anew and writes deploy/constraints*.txt: `make lock`. Installs nothing.

Leaves out what a CPU has no use for: NVIDIA's libraries, triton, and the local part of torch's version (`+cpu`), by
which an index marks its builds.
"""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

CONSTRAINTS = Path("deploy/constraints.txt")
BENCH, BENCH_CONSTRAINTS = "bench", Path("deploy/constraints-bench.txt")  # its header says what for
FOR_GPUS = re.compile(r"(nvidia|cuda|triton)([_-]|$)")
BUILD_TOOLS = ("setuptools", "wheel")  # the editable install builds without isolation


def main() -> int:
    """Write the file; the exit status."""
    extras = tomllib.loads(Path("pyproject.toml").read_text())["project"]["optional-dependencies"]
    found = _resolve([f".[{','.join(set(extras) - {BENCH})}]", *BUILD_TOOLS])
    if found is None:
        return 1
    _write(CONSTRAINTS, found)
    found = _resolve([f".[{BENCH}]"])
    if found is None:
        return 1
    _write(BENCH_CONSTRAINTS, set(found) - set(CONSTRAINTS.read_text().splitlines()))
    return 0


def _write(path: Path, found: Iterable[str]) -> None:
    lines = path.read_text().splitlines()
    comment = [line for line in lines if line.startswith("#")]
    pins = sorted([*found, *(line for line in lines if ";" in line and line not in comment)], key=_name)
    path.write_text("\n".join([*comment, *pins]) + "\n")
    print(f"{path}: {len(pins)} versions")


def _resolve(requirements: list[str]) -> list[str] | None:
    """What pip would install, pinned; None when it found no solution, and said so."""
    options = ["--quiet", "--dry-run", "--ignore-installed", "--report", "-"]
    command = [sys.executable, "-m", "pip", "install", *options, *requirements]
    answer = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    return list(filter(None, map(_pin, json.loads(answer.stdout)["install"]))) if answer.returncode == 0 else None


def _name(pin: str) -> str:
    return pin.partition("==")[0].lower()


def _pin(package: dict[str, Any]) -> str | None:
    name, version = package["metadata"]["name"], package["metadata"]["version"]
    if name == "headrace" or FOR_GPUS.match(name.lower()):
        return None
    return f"{name}=={version.partition('+')[0]}"


if __name__ == "__main__":
    sys.exit(main())
