"""Run the environment's pip: look up and install packages. Its output goes to a log file; a few lines are shown.

`install_packages` installs the pinned packages other than torch, and Headrace itself, editable.
"""

import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

from deploy.local.set_up.environment import last_line, python_of, site_packages
from deploy.local.set_up.surroundings import NotFoundError, SetUpError, say

CONSTRAINTS = Path("deploy/constraints.txt")
HASHES = Path("deploy/hashes.txt")
INPUTS = (Path("pyproject.toml"), CONSTRAINTS, HASHES)
SOURCE_ONLY = re.compile(r"openai-whisper==")
TORCH = re.compile(r"torch==[^\s;+]+")
FIRST_METADATA_PIP = (25, 3)  # older versions download a whole wheel to read its dependencies
PROGRESS_EVERY = 20
SHORT_TIMEOUTS = ["--retries", "1", "--timeout", "15"]  # detect an unreachable host early
LOOK_UP = ["install", "--dry-run", "--ignore-installed", *SHORT_TIMEOUTS]
RANGE_REQUESTS = ["--use-feature=fast-deps"]  # for indexes that serve no metadata files
REDIRECTING_VARIABLES = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PYTHONPATH", "PYTHONHOME")
UNREACHABLE = re.compile(r"connection broken by|Could not fetch URL|ConnectionPool|Max retries|timed out|ProxyError")
DOWNLOADING = re.compile(r"\s*Downloading .*\((?P<number>[\d.]+) (?P<unit>bytes|kB|MB|GB)\)")
UNITS = {"bytes": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9}


@dataclass(frozen=True)
class Package:
    """A package that pip would install: `url` of its file, `requires` from its metadata."""

    name: str
    version: str
    url: str
    requires: tuple[str, ...] = ()


class Answer(NamedTuple):
    """pip's exit status and output."""

    status: int
    output: str


class Pip:
    """The environment's pip, with the caller's configuration except variables that change the target."""

    def __init__(self, venv: Path, environ: Mapping[str, str]) -> None:
        self.venv = venv
        self.fetched_bytes = 0
        self._environ = _for_pip(environ, venv)
        self._range_requests = RANGE_REQUESTS
        self._log = venv / "set-up.log"
        self._log.unlink(missing_ok=True)

    def renew(self) -> None:
        """Upgrade an old pip. If that fails, the old one still works but downloads more."""
        if _version_of_pip(self.venv) < FIRST_METADATA_PIP:
            self._run(["install", "--upgrade", *SHORT_TIMEOUTS, "pip"])

    def look_up(self, requirement: str, *options: str) -> list[Package]:
        """Return the packages that pip would install for a requirement. Raise NotFoundError."""
        report = self.venv / "report.json"
        arguments = [*LOOK_UP, "--report", str(report), *options, requirement]
        answer = self._run([*arguments, *self._range_requests])
        if "invalid choice: 'fast-deps'" in answer.output:  # the feature is experimental
            self._range_requests = []
            answer = self._run(arguments)
        if answer.status:
            raise NotFoundError(last_line(answer.output), unreachable=bool(UNREACHABLE.search(answer.output)))
        found = json.loads(report.read_text())["install"]
        report.unlink()
        return [_package(each) for each in found]

    def install(self, arguments: list[str], failure: str, count: int = 0) -> None:
        """Install. Raise SetUpError with pip's error. `count`: the number of packages, for progress lines."""
        answer = self._run(["install", "--progress-bar", "off", *arguments], count)
        if answer.status:
            raise SetUpError(f"{failure}: {last_line(answer.output)} (full log: {self._log})")

    def _run(self, arguments: list[str], count: int = 0) -> Answer:
        command = [python_of(self.venv), "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
        lines = []
        with self._log.open("a") as log, self._started(command) as process:
            for line in _followed(process.stdout or (), log, count):
                lines.append(line)
                self.fetched_bytes += downloaded_bytes(line)
        return Answer(process.returncode, "".join(lines))

    def _started(self, command: list[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self._environ)


def downloaded_bytes(line: str) -> int:
    """Return the size that a line of pip's output reports as a download; 0 for any other line."""
    found = DOWNLOADING.match(line)
    return round(float(found["number"]) * UNITS[found["unit"]]) if found else 0


def _version_of_pip(venv: Path) -> tuple[int, ...]:
    metadata = next(site_packages(venv).glob("pip-*.dist-info"))
    return tuple(map(int, re.findall(r"\d+", metadata.name)[:2]))


def _for_pip(environ: Mapping[str, str], venv: Path) -> dict[str, str]:
    kept = {name: value for name, value in environ.items() if name not in REDIRECTING_VARIABLES}
    try:
        Path.home()
    except RuntimeError:  # without HOME and an entry in /etc/passwd, pip creates a folder named ~
        kept["HOME"] = str(venv.absolute())
    return kept | {"PIP_USER": "0"}


def _package(found: Mapping[str, Any]) -> Package:
    metadata = found["metadata"]
    requires = tuple(metadata.get("requires_dist", ()))
    return Package(metadata["name"], metadata["version"], found["download_info"]["url"], requires)


def _followed(lines: Iterable[str], log: IO[str], count: int) -> Iterator[str]:
    """Copy pip's output to the log and print progress."""
    collected = 0
    for line in lines:
        log.write(line)
        yield line
        if line.startswith(("Collecting", "Processing /")):  # `Processing`: from a folder
            collected += 1
            if count and collected % PROGRESS_EVERY == 0:
                say(f"  {collected} of {count} downloaded")
        elif line.startswith("Installing collected packages") and count:
            say("  installing")


def install_packages(pip: Pip) -> None:
    """Install them without their dependencies. Raise SetUpError."""
    install_wheels(pip)
    sources = [line for line in _hashed_pins() if SOURCE_ONLY.match(line)]
    if sources:  # built with the tools among the wheels, which were compared with their hashes
        _install(pip, sources, ["--no-build-isolation"])
    headrace = ["--no-deps", "--no-build-isolation", "--editable", "."]
    pip.install(headrace, "Cannot install Headrace itself")


def install_wheels(pip: Pip) -> None:
    """Install all packages except torch and those that have no wheel. Raise SetUpError."""
    wheels = [line for line in _hashed_pins() if not TORCH.match(line) and not SOURCE_ONLY.match(line)]
    say(f"installing {len(wheels)} packages besides torch")
    _install(pip, wheels, ["--only-binary", ":all:"])


def _install(pip: Pip, lines: list[str], options: list[str]) -> None:
    """Install exactly these files: pip compares the sha256 of each."""
    pins = pip.venv / "packages.txt"
    pins.write_text("\n".join(lines) + "\n")
    checked = ["--no-deps", "--require-hashes", *options, "--requirement", str(pins)]
    pip.install(checked, "Cannot install the packages", len(lines))


def torch_pin() -> str:
    """Return the pin of torch, such as `torch==2.13.0`."""
    for line in _pins():
        if found := TORCH.match(line):
            return found[0]
    raise SetUpError(f"{CONSTRAINTS} has no pin for torch.")


def _hashed_pins() -> list[str]:
    """Return the pins with the sha256 of their files. Raise SetUpError unless they are those of the constraints."""
    hashed = _pins(HASHES)
    if [line.split(" --hash=")[0] for line in hashed] != _pins():
        raise SetUpError(f"{HASHES} is not that of {CONSTRAINTS}. Run: make lock ARGS=--hashes")
    return hashed


def _pins(path: Path = CONSTRAINTS) -> list[str]:
    lines = map(str.strip, path.read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]
