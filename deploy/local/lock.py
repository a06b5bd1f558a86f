"""`make lock`: resolve all versions, write deploy/constraints*.txt, requirements-*.txt, hashes*.txt. Installs nothing.

One resolution serves all machines and Pythons of platforms.py; a marker restricts a line to some of them. NVIDIA's
libraries and triton are left out: CPUs do not need them. `--keep` changes only the versions that must change.
`--hashes` resolves nothing and adds the sha256 of the files of each version.
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
BENCH, BENCH_CONSTRAINTS = "bench", Path("deploy/constraints-bench.txt")  # the file's header gives the purpose
AUDIT, AUDIT_CONSTRAINTS = "audit", Path("deploy/constraints-audit.txt")
DEPLOYED = (
    "ingest",
    "processor",
    "command",
    "faster-whisper",
    "deepfilternet",
    "otel",
)  # extras with a requirements file
HASHED = {
    CONSTRAINTS: Path("deploy/hashes.txt"),
    BENCH_CONSTRAINTS: Path("deploy/hashes-bench.txt"),
    AUDIT_CONSTRAINTS: Path("deploy/hashes-audit.txt"),
    **{path: path for path in (Path(f"deploy/requirements-{extra}.txt") for extra in DEPLOYED)},
}
GPU_ONLY = re.compile(r"(nvidia|cuda|triton)(-|$)")
BUILD_TOOLS = "setuptools\nwheel\n"  # the editable install builds without isolation


class LockError(Exception):
    """The versions cannot be resolved; the message is uv's."""


def main(arguments: list[str]) -> int:
    """Write the files. Return the exit status."""
    if "--hashes" in arguments:
        return _write_hashes()
    extras = tomllib.loads(Path("pyproject.toml").read_text())["project"]["optional-dependencies"]
    preferred = CONSTRAINTS.read_text() if "--keep" in arguments else ""
    bench_preferred = BENCH_CONSTRAINTS.read_text() + preferred if preferred else ""
    try:
        pins = _resolve(set(extras) - {BENCH, AUDIT}, preferred, BUILD_TOOLS)
        _write(CONSTRAINTS, pins)
        _write(BENCH_CONSTRAINTS, set(_resolve({BENCH}, bench_preferred)) - set(pins))
        _write(AUDIT_CONSTRAINTS, _resolve({AUDIT}, AUDIT_CONSTRAINTS.read_text() if preferred else ""))
        for extra in DEPLOYED:
            _write(Path(f"deploy/requirements-{extra}.txt"), set(_resolve({extra}, "\n".join(pins))) & set(pins))
    except LockError as error:
        print(error, file=sys.stderr)
        return 1
    return _write_hashes()


def _write_hashes() -> int:
    """Add to each file of pins the sha256 of every file that the index has of them. Return the exit status.

    Constraints stay as they are, since pip takes no hashes there for what it builds: theirs are in files of their own.
    """
    try:
        for path, target in HASHED.items():
            pins = [line.split(" --hash=")[0] for line in path.read_text().splitlines() if not line.startswith("#")]
            hashes = _hashes(pins)
            _write(target, [" ".join([pin, *hashes[pin.partition(" ;")[0]]]) for pin in pins])
    except LockError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _hashes(pins: list[str]) -> dict[str, list[str]]:
    """Return pip's options with the hashes of each `name==version`. Raise LockError."""
    uv = [str(Path(sysconfig.get_path("scripts")) / "uv"), "pip", "compile", "--no-config", "--quiet", "--no-deps"]
    mode = ["--universal", "--python-version", PYTHONS[0], "--generate-hashes", "--no-annotate", "--no-header", "-"]
    answer = subprocess.run([*uv, *mode], check=False, input="\n".join(pins), capture_output=True, text=True)
    if answer.returncode:
        raise LockError(answer.stderr)
    found: dict[str, list[str]] = {}
    for requirement in answer.stdout.replace("\\\n", "").splitlines():
        pin, *hashes = requirement.split(" --hash=")
        found[pin.partition(" ;")[0].strip()] = [f"--hash={each.strip()}" for each in hashes]
    return found


def _write(path: Path, pins: Iterable[str]) -> None:
    """Write the pins and keep the comment at the top of the file."""
    comment = [line for line in path.read_text().splitlines() if line.startswith("#")]
    lines = sorted(pins, key=lambda pin: pin.partition("==")[0])
    path.write_text("\n".join([*comment, *lines]) + "\n")
    print(f"{path}: {len(lines)} versions")


def _resolve(extras: Iterable[str], preferred: str, additional: str = "") -> list[str]:
    """Return the pins that the extras need on all machines, in preferred versions where possible. Raise LockError."""
    with tempfile.NamedTemporaryFile("w+", suffix=".txt") as output:
        output.write(preferred)
        output.flush()
        uv = [str(Path(sysconfig.get_path("scripts")) / "uv"), "pip", "compile", "--no-config", "--quiet"]
        mode = ["--universal", "--python-version", PYTHONS[0], "--fork-strategy", "fewest"]
        format_options = ["--no-annotate", "--no-header", "--output-file", output.name]
        wanted = [f"--extra={extra}" for extra in sorted(extras)]
        answer = subprocess.run(
            [*uv, *mode, *format_options, *wanted, "pyproject.toml", "-"],
            check=False,
            input=additional,
            stderr=subprocess.PIPE,
            text=True,
        )
        if answer.returncode:
            raise LockError(answer.stderr)
        return list(filter(None, map(_pin, Path(output.name).read_text().splitlines())))


def _pin(line: str) -> str | None:
    """Return a line of the file, with its marker if the machines differ. None: no machine needs it."""
    requirement = Requirement(line)
    needed = [_holds(requirement, python, patch) for python in PYTHONS for patch in (0, 99)]
    if GPU_ONLY.match(requirement.name) or not any(any(each) for each in needed):
        return None
    return line.partition(" ;")[0] if all(all(each) for each in needed) else line


def _holds(requirement: Requirement, python: str, patch: int) -> list[bool]:
    """Return for each machine whether it needs the package with this Python release."""
    release = {"python_full_version": f"{python}.{patch}"}
    marker = requirement.marker
    return [marker is None or marker.evaluate(machine.environment(python) | release) for machine in MACHINES]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
