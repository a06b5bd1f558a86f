"""The paths in docs/architecture.md are correct: each file exists, and an earlier file of the path imports it."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.support.stack.launched import ROOT

DOCUMENT = ROOT / "docs/architecture.md"
MOST_FILES = {"an upload": 16, "a chunk": 20, "a webhook": 14}
LOADERS = re.compile(r"[a-z_]+(\.[a-z_]+)+|([a-z_]+):[A-Z]\w+")  # `package.module`, or `module:Class` beside it


@pytest.mark.parametrize("name", MOST_FILES)
def test_a_path_is_short_and_follows_the_imports(name: str) -> None:
    first, *others = path = _path(name)
    reached = _imported(first)

    assert len(path) <= MOST_FILES[name]
    for file in others:
        assert file in reached, f"no earlier file imports {file}"
        reached = reached | _imported(file)


def test_every_file_that_the_page_names_exists() -> None:
    named = re.findall(r"`((?:ingest_service|processor_service|shared|deploy|tests)/[\w/.]*)`", DOCUMENT.read_text())

    assert named
    assert [file for file in named if not (ROOT / file).exists()] == []


def _path(name: str) -> list[str]:
    section = DOCUMENT.read_text().split(f"\n## The path of {name}\n")[1].split("\n## ")[0]
    return re.findall(r"^\d+\. `([^`]+)`", section, re.MULTILINE)


@cache
def _imported(file: str) -> frozenset[str]:
    """Return the files that a file names in imports and in strings that load or start modules."""
    found: set[str | None] = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.Import):
            found |= {_file_of(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {_file_of(node.module), *(_file_of(f"{node.module}.{alias.name}") for alias in node.names)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and LOADERS.fullmatch(node.value):
            module = node.value.partition(":")[0]
            found |= {_file_of(module), _file_of(".".join([*Path(file).parent.parts, module]))}
    return frozenset(name for name in found if name)


def _file_of(module: str) -> str | None:
    path = Path(*module.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((str(one) for one in candidates if (ROOT / one).is_file()), None)
