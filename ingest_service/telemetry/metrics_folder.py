"""The folder in which the processes of one service count together: the one that was set, or a temporary one."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def metrics_folder(chosen: str) -> Iterator[str]:
    """For whoever starts several processes: each gets the folder as `HEADRACE_METRICS_DIR`. Removed if it was ours."""
    if chosen:
        yield chosen
        return
    in_memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it, for us alone
    with tempfile.TemporaryDirectory(
        prefix="headrace-metrics-", dir=in_memory if in_memory.is_dir() else None
    ) as folder:
        yield folder
