"""The registry of engines: every line can be loaded, and reading it is cheap."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from processor_service import transcribers
from processor_service.models.cache import ModelCache
from processor_service.transcribers.engines import DEFAULT_ENGINE, ENGINES, find_model, needs_weights, why_unavailable

HEAVY = ("numpy", "torch", "whisper", "ctranslate2")


@pytest.mark.parametrize("engine", ENGINES)
def test_the_class_of_an_engine_exists_and_has_its_name(engine: str) -> None:
    module, _, name = ENGINES[engine].loader.partition(":")
    tree = ast.parse((Path(transcribers.__file__).parent / f"{module}.py").read_text())

    (found,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name]

    assigned = [
        node for node in found.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "engine"
    ]
    assert [ast.unparse(node.value) for node in assigned] in ([repr(engine)], ["NO_ENGINE"])


@pytest.mark.process
def test_the_registry_imports_no_heavy_library() -> None:
    code = f"import sys, processor_service.transcribers.engines; print([m for m in {HEAVY} if m in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert printed.strip() == "[]"


def test_an_unknown_engine_is_unavailable_and_needs_no_weights() -> None:
    assert why_unavailable(DEFAULT_ENGINE) is None
    assert "Choose one of openai-whisper" in (why_unavailable("whisper.cpp") or "")
    assert not needs_weights("whisper.cpp")


def test_an_engine_without_weights_gets_a_path_only_if_one_is_configured(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path)
    assert find_model("scripted", str(tmp_path), cache) == tmp_path
    assert find_model("scripted", "base", cache) == find_model("none", "base", cache) == Path()
