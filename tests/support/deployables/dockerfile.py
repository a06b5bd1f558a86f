"""Our Dockerfiles, parsed, and their build contexts. Supports the grammar that they use."""

import json
import re
import shlex
import shutil
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

from tests.support.stack.launched import ROOT

INGEST = ROOT / "deploy/ingest.Dockerfile"
PROCESSOR = ROOT / "deploy/processor.Dockerfile"
COMMAND = ROOT / "deploy/command.Dockerfile"


class Instruction(NamedTuple):
    name: str
    rest: str


class Dockerfile:
    """A Dockerfile's stages in order. The last stage is the image."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
        joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
        self.instructions = [Instruction(*line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]

    @property
    def stages(self) -> list[list[Instruction]]:
        stages: list[list[Instruction]] = []
        for instruction in self.instructions:
            if instruction.name == "FROM":
                stages.append([])
            if stages:
                stages[-1].append(instruction)
        return stages

    @property
    def image(self) -> list[Instruction]:
        return self.stages[-1]

    def only(self, name: str) -> str:
        """Return the arguments of the image's only instruction of a name."""
        (rest,) = [each.rest for each in self.image if each.name == name]
        return rest

    @property
    def environ(self) -> dict[str, str]:
        return dict(pair.split("=", 1) for pair in shlex.split(self.only("ENV")))

    @property
    def command(self) -> list[str]:
        return [str(word) for word in json.loads(self.only("CMD"))]

    @property
    def health_command(self) -> list[str]:
        return [str(word) for word in json.loads(self.only("HEALTHCHECK").partition("CMD ")[2])]

    def copy_context(self, target: Path) -> None:
        """Copy the files that the stages copy from the repository, without those that `.dockerignore` excludes."""
        for each in self.instructions:
            if each.name == "COPY" and not each.rest.startswith("--from"):
                *sources, folder = each.rest.split()
                for source in sources:
                    _copy(source, target / folder if len(sources) > 1 or folder.endswith("/") else target)


def _copy(source: str, target: Path) -> None:
    for path in sorted([ROOT / source, *(ROOT / source).rglob("*")]):
        relative = path.relative_to(ROOT)
        if path.is_file() and is_in_context(relative):
            copy = target / relative.name if path == ROOT / source else target / relative
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


def is_in_context(path: Path) -> bool:
    """Return whether a file is in the build context: the last matching line of `.dockerignore` decides."""
    is_ignored = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#"):
            pattern = line.removeprefix("!")
            if any(_matches(str(each), pattern) for each in (path, *path.parents)):
                is_ignored = not line.startswith("!")
    return not is_ignored


def _matches(path: str, pattern: str) -> bool:
    anywhere = pattern.removeprefix("**/")
    return fnmatch(path, pattern) or (anywhere != pattern and fnmatch(Path(path).name, anywhere))
