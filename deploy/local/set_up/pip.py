"""pip, in the environment: what it would install, and installing. Its output goes to a file; few lines are shown."""

import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

from deploy.local.set_up.environment import last_line, python_of, site_packages
from deploy.local.set_up.errors import NotFoundError, SetUpError
from deploy.local.set_up.surroundings import say
from deploy.local.set_up.torch_build import Package

FIRST_CHEAP_PIP = (25, 3)  # older ones download a whole wheel to read what it requires
SAY_EVERY = 20
BRIEFLY = ["--retries", "1", "--timeout", "15"]  # a host that cannot be reached is found out soon
LOOK_UP = ["install", "--dry-run", "--ignore-installed", *BRIEFLY]
RANGE_REQUESTS = ["--use-feature=fast-deps"]  # for indexes that serve no metadata files
ELSEWHERE = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PYTHONPATH", "PYTHONHOME")
UNREACHABLE = re.compile(r"connection broken by|Could not fetch URL|ConnectionPool|Max retries|timed out|ProxyError")
DOWNLOADING = re.compile(r"\s*Downloading .*\((?P<number>[\d.]+) (?P<unit>bytes|kB|MB|GB)\)")
UNITS = {"bytes": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9}


class Answer(NamedTuple):
    """How pip ended, and all that it printed."""

    status: int
    output: str


class Pip:
    """The environment's pip, with the caller's configuration, less what would make it install elsewhere."""

    def __init__(self, venv: Path, environ: Mapping[str, str]) -> None:
        self.venv = venv
        self.fetched_bytes = 0
        self._environ = _for_pip(environ, venv)
        self._range_requests = RANGE_REQUESTS
        self._log = venv / "set-up.log"
        self._log.unlink(missing_ok=True)

    def renew(self) -> None:
        """Take a newer pip where this one is old. Without a newer one the old one works, at more cost."""
        if _version_of_pip(self.venv) < FIRST_CHEAP_PIP:
            self._run(["install", "--upgrade", *BRIEFLY, "pip"])

    def look_up(self, requirement: str, *options: str) -> list[Package]:
        """What it would install for a requirement, which it does not do; raises NotFoundError."""
        report = self.venv / "report.json"
        arguments = [*LOOK_UP, "--report", str(report), *options, requirement]
        answer = self._run([*arguments, *self._range_requests])
        if "invalid choice: 'fast-deps'" in answer.output:  # pip calls the feature experimental
            self._range_requests = []
            answer = self._run(arguments)
        if answer.status:
            raise NotFoundError(last_line(answer.output), unreachable=bool(UNREACHABLE.search(answer.output)))
        found = json.loads(report.read_text())["install"]
        report.unlink()
        return [_package(each) for each in found]

    def install(self, arguments: list[str], failure: str, count: int = 0) -> None:
        """Install; raises SetUpError with pip's own words. `count` packages are to be shown as they come."""
        answer = self._run(["install", "--progress-bar", "off", *arguments], count)
        if answer.status:
            raise SetUpError(f"{failure}: {last_line(answer.output)} (all of it: {self._log})")

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
    """What a line of pip's says that it downloads, as exactly as it says so; 0 for any other line."""
    found = DOWNLOADING.match(line)
    return round(float(found["number"]) * UNITS[found["unit"]]) if found else 0


def _version_of_pip(venv: Path) -> tuple[int, ...]:
    metadata = next(site_packages(venv).glob("pip-*.dist-info"))
    return tuple(map(int, re.findall(r"\d+", metadata.name)[:2]))


def _for_pip(environ: Mapping[str, str], venv: Path) -> dict[str, str]:
    kept = {name: value for name, value in environ.items() if name not in ELSEWHERE}
    try:
        Path.home()
    except RuntimeError:  # neither HOME nor an entry in /etc/passwd: pip would make a folder named ~
        kept["HOME"] = str(venv.absolute())
    return kept | {"PIP_USER": "0"}


def _package(found: Mapping[str, Any]) -> Package:
    metadata = found["metadata"]
    requires = tuple(metadata.get("requires_dist", ()))
    return Package(metadata["name"], metadata["version"], found["download_info"]["url"], requires)


def _followed(lines: Iterable[str], log: IO[str], count: int) -> Iterator[str]:
    """Copy pip's output, and say how far it is."""
    collected = 0
    for line in lines:
        log.write(line)
        yield line
        if line.startswith(("Collecting", "Processing /")):  # the latter from a folder
            collected += 1
            if count and collected % SAY_EVERY == 0:
                say(f"  {collected} of {count} fetched")
        elif line.startswith("Installing collected packages") and count:
            say("  installing them")
