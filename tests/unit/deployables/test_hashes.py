"""Whatever is installed from an index is compared with a sha256; the exceptions are named here, with the reason."""

import re
from pathlib import Path

import pytest

from processor_service.diarization.weights import PACKAGE
from processor_service.models.catalogue import PACKAGE_SHA256, PACKAGED

ROOT = Path(__file__).resolve().parents[3]
HASHED = sorted([*(ROOT / "deploy").glob("hashes*.txt"), *(ROOT / "deploy").glob("requirements-*.txt")])
WITHOUT_HASH = (
    "--no-deps .",  # our own code, from its folder
    "pip install torch==",  # PyTorch's index: one build for each CUDA and platform; its TLS is trusted
    '--index-url "https://download.pytorch.org/whl/${TORCH}"',  # as above
    "pip install '.[processor]'",  # a warning in the text against it
)


def pins(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("path", HASHED, ids=lambda path: path.name)
def test_every_pin_has_hashes(path: Path) -> None:
    assert pins(path)
    assert [line for line in pins(path) if not re.search(r"==\S+.* --hash=sha256:[0-9a-f]{64}", line)] == []


@pytest.mark.parametrize("name", ["", "-bench", "-audit"])
def test_the_hashes_are_those_of_the_constraints(name: str) -> None:
    hashed = [line.split(" --hash=")[0] for line in pins(ROOT / f"deploy/hashes{name}.txt")]
    assert hashed == pins(ROOT / f"deploy/constraints{name}.txt")


@pytest.mark.parametrize(
    "path",
    [
        "Makefile",
        "docs/operations.md",
        "deploy/ingest.Dockerfile",
        "deploy/processor.Dockerfile",
        "deploy/command.Dockerfile",
    ],
)
def test_every_installation_compares_hashes(path: str) -> None:
    text = (ROOT / path).read_text().replace("\\\n", " ")
    commands = [line for line in text.splitlines() if re.search(r"\bpip install\b", line)]
    assert commands
    for command in (each for line in commands for each in re.split(r"&&|; do", line) if "pip install" in each):
        assert "--require-hashes" in command or any(words in command for words in WITHOUT_HASH), command


def test_every_package_with_weights_has_a_hash() -> None:
    assert {*PACKAGE_SHA256} == {PACKAGE, *(each for model in PACKAGED.values() for each in model.requirements)}
