"""Prometheus' programs, from the PATH or from where `make` installs them. Tests skip when they are missing."""

import shutil
import sys
from pathlib import Path

import pytest

UNPACKED = Path(sys.prefix) / "prometheus/usr/bin"


def program(name: str) -> str:
    """Return the path of `promtool` or `prometheus`; skip the test when it is missing."""
    path = shutil.which(name) or shutil.which(name, path=UNPACKED)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path
