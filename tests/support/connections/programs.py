"""Servers that are not on PyPI: from the PATH, or from Debian's packages (unpacked by make). Else skip."""

import os
import shutil
import sys
from pathlib import Path

import pytest

UNPACKED = Path(sys.prefix) / "servers"
FOLDERS = os.pathsep.join(map(str, (UNPACKED / "usr/sbin", UNPACKED / "usr/bin", "/usr/sbin")))


def program(name: str) -> str:
    """Return the path of `pgbouncer`, `redis-server` or `openssl`. Skip the test if it is missing."""
    path = shutil.which(name) or shutil.which(name, path=FOLDERS)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def environ() -> dict[str, str]:
    """Return this process' environment, with the path of the unpacked libraries."""
    folders = [str(folder) for folder in UNPACKED.glob("usr/lib/*-linux-gnu*")]
    return {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(folders)} if folders else dict(os.environ)
