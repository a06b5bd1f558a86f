"""Scratch folders for decoded audio: one a processor, and in it one for each attempt of a task.

A killed processor leaves its folder. The next processor that starts on the machine deletes it: the kernel released the
lock on it.
"""

import asyncio
import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from shared.settings import SettingsError
from shared.telemetry.logs import Log

log = Log(__name__)

PREFIX = "headrace-scratch-"
LOCK = "lock"


class Scratch:
    """The folder of this process. It is valid while its lock is held."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextlib.contextmanager
    def task_folder(self) -> Iterator[Path]:
        """Make a folder for one attempt; delete it at the end of the block."""
        with tempfile.TemporaryDirectory(prefix="task-", dir=self.folder, ignore_cleanup_errors=True) as folder:
            yield Path(folder)


@contextlib.asynccontextmanager
async def open_scratch(parent: str) -> AsyncIterator[Scratch]:
    """Delete the folders of dead processors, then make and lock one for the length of a block.

    An empty `parent` is the system's temporary folder. Raise SettingsError when no folder can be made there.
    """
    parent_folder = Path(parent or tempfile.gettempdir())
    try:
        parent_folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - instant
        await asyncio.to_thread(sweep, parent_folder)
        folder, lock = _new_folder(parent_folder)
    except OSError as error:
        raise SettingsError(f"HEADRACE_SCRATCH_DIR is not usable: {error}") from error
    try:
        yield Scratch(folder)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        os.close(lock)


def sweep(parent: Path) -> None:
    """Delete the scratch folders of dead processors: unlocked folders of this user."""
    for folder in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # deleted meanwhile, or no permission
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            if (lock := _lock(folder)) is not None:
                log.info("dead_scratch_deleted", folder=folder)
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)


def _new_folder(parent: Path) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        try:
            lock = _lock(folder)
        except FileNotFoundError:
            lock = None
        if lock is not None:
            return folder, lock
        # Another processor's sweep deleted or locked the folder before it was locked here: try again.


def _lock(folder: Path) -> int | None:
    """Return a descriptor that holds the folder's lock; None: another process holds it or has just deleted it."""
    path = folder / LOCK
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(lock).st_nlink:
            return lock
    except BlockingIOError:
        pass
    except BaseException:
        os.close(lock)
        raise
    os.close(lock)
    return None
