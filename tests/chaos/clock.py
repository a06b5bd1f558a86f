"""A wrong wall clock for a process: a small library that stands before the C library's clock."""

import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("clock_offset.c")


def compiled_clock(folder: Path) -> Path | None:
    """The library for LD_PRELOAD, made in a folder; None where there is no C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    library = folder / "clock_offset.so"
    command = [compiler, "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", str(library), str(SOURCE)]
    subprocess.run(command, check=True)
    return library
