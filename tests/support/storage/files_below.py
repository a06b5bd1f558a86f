"""The files of a folder that other processes change meanwhile."""

import os
from pathlib import Path


def files_below(folder: Path) -> list[Path]:
    """Return the files at any depth, also if a subfolder disappears during the walk, where `rglob` raises."""
    return [Path(parent, name) for parent, _, names in os.walk(folder) for name in names]
