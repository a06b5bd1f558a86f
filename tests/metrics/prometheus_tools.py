"""Prometheus' own programs: on the PATH, or where `make` puts them. Without them tests that need one are skipped."""

import shutil
import sys
from pathlib import Path

import pytest

UNPACKED = Path(sys.prefix) / "prometheus/usr/bin"


def program(name: str) -> str:
    """Where `promtool` or `prometheus` is."""
    path = shutil.which(name) or shutil.which(name, path=UNPACKED)
    if path is None:
        pytest.skip(f"there is no {name} on this machine")
    return path
