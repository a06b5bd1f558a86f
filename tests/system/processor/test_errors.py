"""The exception tree of the processor is drawn as it is, and a compute child can import it."""

import re
import subprocess
import sys

import pytest

from processor_service import errors

ROOT = errors.ProcessorError
LINE = re.compile(r"^(?P<indent>[│├└─ ]*)(?P<name>\w+Error)\b", re.MULTILINE)
HEAVY = {"asyncpg", "obstore", "redis", "arq", "aiohttp", "numpy", "torch"}


def test_the_drawn_tree_is_the_real_one() -> None:
    drawn = [(len(line["indent"]) // 4, line["name"]) for line in LINE.finditer(errors.__doc__ or "")]

    assert sorted(drawn) == sorted(_tree(ROOT, 0))


@pytest.mark.process
def test_an_import_loads_no_heavy_library() -> None:
    program = "import sys, processor_service.errors; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout

    assert not HEAVY & set(loaded.split())


def _tree(error: type[Exception], depth: int) -> list[tuple[int, str]]:
    children = [one for child in error.__subclasses__() for one in _tree(child, depth + 1)]
    return [(depth, error.__name__), *children]
