"""`make platforms`: find a build of every pinned package for each supported machine and Python.

uv reads the metadata of the index and downloads no package. Prints a table; exits 1 if a build is missing.
"""

import os
import subprocess
import sys
import sysconfig
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import msgspec

CONSTRAINTS = Path("deploy/constraints.txt")
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
CONNECT_TIMEOUT_S = 5
SOURCE_ONLY = "openai-whisper"  # pure Python; published without a wheel
PYTHONS = ("3.11", "3.12", "3.13", "3.14")


class Machine(msgspec.Struct, frozen=True):
    """A kind of machine: its name in the table, uv's name, and its values for markers."""

    name: str
    target: str
    sys_platform: str
    platform_machine: str

    def environment(self, python: str) -> dict[str, str]:
        """Return the values of the markers."""
        return {
            "sys_platform": self.sys_platform,
            "platform_machine": self.platform_machine,
            "platform_system": "Linux" if self.sys_platform == "linux" else "Darwin",
            "os_name": "posix",
            "python_version": python,
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
        }


MACHINES = (
    Machine("Linux x86-64", "x86_64-manylinux_2_28", "linux", "x86_64"),
    Machine("Linux ARM64", "aarch64-manylinux_2_28", "linux", "aarch64"),
    Machine("macOS ARM64", "aarch64-apple-darwin", "darwin", "arm64"),
)
OLDEST_MACOS = "14.0"
CONCURRENCY = 6


def main() -> int:
    """Print the table and the missing builds. Return the exit status."""
    options = _torch_options()
    combinations = list(product(PYTHONS, MACHINES))
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        answers = list(pool.map(lambda each: _resolve(each[1], each[0], options), combinations))
    found = dict(zip(combinations, answers, strict=True))
    print(f"{'Python':8}" + "".join(f"{machine.name:16}" for machine in MACHINES))
    for python in PYTHONS:
        print(f"{python:8}" + "".join(f"{_cell(found[python, machine]):16}" for machine in MACHINES))
    gaps = [(python, machine.name, gap) for (python, machine), (_, gap) in found.items() if gap]
    for python, name, gap in gaps:
        print(f"platforms: Python {python}, {name}: {gap}", file=sys.stderr)
    return 1 if gaps else 0


def _torch_options() -> list[str]:
    """Return uv's options for torch: PyTorch's index of CPU builds, or the default index if that is unreachable."""
    try:
        with urllib.request.urlopen(f"{CPU_INDEX}/torch/", timeout=CONNECT_TIMEOUT_S):  # noqa: S310 - fixed, https
            return ["--torch-backend", "cpu"]
    except OSError:
        print(f"platforms: {CPU_INDEX} cannot be reached; torch's builds are those of the default index")
        return []


def _resolve(machine: Machine, python: str, options: list[str]) -> tuple[int, str]:
    """How many packages the machine gets, and what was not found; markers are evaluated for that machine."""
    uv = [str(Path(sysconfig.get_path("scripts")) / "uv"), "pip", "compile", "--no-config", "--quiet", "--no-deps"]
    target = ["--python-platform", machine.target, "--python-version", python]
    build = ["--only-binary", ":all:", "--no-annotate", "--no-header", "-"]
    pins = "\n".join(line for line in CONSTRAINTS.read_text().splitlines() if not line.startswith(f"{SOURCE_ONLY}=="))
    environment = os.environ | {"MACOSX_DEPLOYMENT_TARGET": OLDEST_MACOS}
    answer = subprocess.run(
        [*uv, *target, *options, *build], check=False, input=pins, capture_output=True, text=True, env=environment
    )
    return len(answer.stdout.splitlines()), "" if answer.returncode == 0 else " ".join(answer.stderr.split())


def _cell(answer: tuple[int, str]) -> str:
    return "GAP" if answer[1] else f"{answer[0] + 1} packages"


if __name__ == "__main__":
    sys.exit(main())
