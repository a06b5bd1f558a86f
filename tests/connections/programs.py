"""Servers that PyPI has not: on the PATH, or where `make` unpacks Debian's. Without them tests that need one skip."""

import os
import shutil
import sys
from pathlib import Path

import pytest

UNPACKED = Path(sys.prefix) / "servers"
PLACES = os.pathsep.join(map(str, (UNPACKED / "usr/sbin", UNPACKED / "usr/bin", "/usr/sbin")))


def program(name: str) -> str:
    """Where `pgbouncer`, `redis-server` or `openssl` is."""
    path = shutil.which(name) or shutil.which(name, path=PLACES)
    if path is None:
        pytest.skip(f"there is no {name} on this machine")
    return path


def environ() -> dict[str, str]:
    """With the libraries that were unpacked beside them."""
    folders = [str(folder) for folder in UNPACKED.glob("usr/lib/*-linux-gnu*")]
    return {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(folders)} if folders else dict(os.environ)
