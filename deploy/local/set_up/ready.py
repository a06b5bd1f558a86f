"""`.venv/ready`: written last, and all that is read when there is nothing to do.

It holds what the environment was made from, and what it contained then. It is out of date when pyproject.toml or
deploy/constraints.txt change, Python changes its version, .venv is moved or loses a package, or TORCH asks for another
build.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from deploy.local.set_up.environment import is_at_home, python_of, site_packages
from deploy.local.set_up.packages import INPUTS
from deploy.local.set_up.torch_build import fits


def is_ready(venv: Path, wanted: str | None) -> bool:
    """Whether there is nothing to do, judged by the Python that runs this."""
    try:
        made: dict[str, Any] = json.loads((venv / "ready").read_text())
        same = made["inputs"] == _inputs() and made["python"] == _python_version()
        whole = set(made["contents"]) <= set(_contents(venv))
        return same and whole and is_at_home(venv) and Path(python_of(venv)).exists() and fits(made["torch"], wanted)
    except (OSError, ValueError, KeyError, TypeError):
        return False  # an older version wrote it, or nothing did


def not_ready(venv: Path) -> None:
    """Say so before anything is changed."""
    (venv / "ready").unlink(missing_ok=True)


def set_ready(venv: Path, torch: str) -> None:
    """Write it, as the last step; `torch` is its version with the local part."""
    version = site_packages(venv).parent.name.removeprefix("python")  # set-up may have run by another Python
    made = {"inputs": _inputs(), "python": version, "torch": torch, "contents": _contents(venv)}
    fresh = venv / "ready.new"
    fresh.write_text(json.dumps(made))
    fresh.rename(venv / "ready")


def _inputs() -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in INPUTS)).hexdigest()


def _python_version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _contents(venv: Path) -> list[str]:
    """Modules and packages. Not their metadata: whoever tries another version of one may."""
    return sorted(path.name for path in site_packages(venv).iterdir() if path.suffix != ".dist-info")
