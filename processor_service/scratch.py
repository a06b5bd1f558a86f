"""Where decoded audio lies while it is worked on: one folder a processor, and in it one for each attempt of a task.

A processor that is killed leaves its folder behind. The next to start on the machine deletes it: the lock on it, which
the kernel drops with its owner, is not held any more.
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
    """The folder of this process, as long as its lock is held."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextlib.contextmanager
    def task_folder(self) -> Iterator[Path]:
        """A folder that is gone when the attempt ends, however it ends."""
        with tempfile.TemporaryDirectory(prefix="task-", dir=self.folder, ignore_cleanup_errors=True) as folder:
            yield Path(folder)


@contextlib.asynccontextmanager
async def open_scratch(parent: str) -> AsyncIterator[Scratch]:
    """Delete what dead processors left, then hold a folder of one's own for the length of a block.

    An empty `parent` is the system's temporary folder. SettingsError when no folder can be made there.
    """
    place = Path(parent or tempfile.gettempdir())
    try:
        place.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - instant
        await asyncio.to_thread(sweep, place)
        folder, lock = _new_folder(place)
    except OSError as error:
        raise SettingsError(f"HEADRACE_SCRATCH_DIR cannot be used: {error}") from error
    try:
        yield Scratch(folder)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        os.close(lock)


def sweep(place: Path) -> None:
    """Delete the scratch folders of processors that are dead. Never one whose lock is held, nor one of another user."""
    for folder in place.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # gone meanwhile, or not ours to judge
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            if (lock := _lock(folder)) is not None:
                log.info("dead_scratch_deleted", folder=folder)
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)


def _new_folder(place: Path) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        try:
            lock = _lock(folder)
        except FileNotFoundError:
            lock = None
        if lock is not None:
            return folder, lock
        # A sweep came between the two steps and took the folder for a dead one's.


def _lock(folder: Path) -> int | None:
    """A descriptor that holds the folder's lock, or None: another holds it or has just deleted it."""
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
