"""Give a process a wrong wall clock: an LD_PRELOAD library that overrides the C library's clock functions."""

import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("clock_offset.c")


def compiled_clock(folder: Path) -> Path | None:
    """Compile the LD_PRELOAD library into a folder. Return None if there is no C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    library = folder / "clock_offset.so"
    command = [compiler, "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", str(library), str(SOURCE)]
    subprocess.run(command, check=True)
    return library
