"""A folder as a place. Symbolic links are not followed: neither files nor subfolders."""

import asyncio
import errno
import os
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from deploy.command.errors import CommandError, SourceError
from deploy.command.outputs import write_output
from deploy.command.watcher.places import PIECE_BYTES, Entry, PlaceError, is_audio

T = TypeVar("T")


class FolderPlace:
    """A folder with its subfolders. `excluded`: a subfolder that is not scanned."""

    is_atomic = False

    def __init__(self, root: Path, excluded: str | None = None) -> None:
        self.name = os.path.abspath(root)  # noqa: PTH100 - links stay
        self._root = Path(self.name)
        self._excluded = excluded

    async def scan(self) -> list[Entry]:
        return await asyncio.to_thread(_reported, lambda: list(self._scan()))

    async def find(self, path: str) -> Entry | None:
        return await asyncio.to_thread(self._find, path)

    async def read(self, entry: Entry) -> AsyncIterator[bytes]:
        try:
            descriptor = await asyncio.to_thread(os.open, self._root / entry.path, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError as error:
            raise SourceError(f"Cannot read the file: {error.strerror or error}.") from error
        left = entry.bytes
        with os.fdopen(descriptor, "rb") as file:
            while left:
                try:
                    piece = await asyncio.to_thread(file.read, min(PIECE_BYTES, left))
                except OSError as error:
                    raise SourceError(f"Cannot read the file: {error.strerror or error}.") from error
                if not piece:
                    raise SourceError("The file became shorter during the upload.")
                left -= len(piece)
                yield piece

    async def get(self, path: str) -> bytes | None:
        return await asyncio.to_thread(_found, (self._root / path).read_bytes)

    async def put(self, path: str, content: bytes) -> None:
        await asyncio.to_thread(self._put, self._root / path, content)

    async def create(self, path: str, content: bytes) -> bool:
        return await asyncio.to_thread(_reported, lambda: _create(self._root / path, content))

    async def remove(self, path: str) -> None:
        await asyncio.to_thread(_reported, lambda: (self._root / path).unlink(missing_ok=True))

    async def move(self, path: str, to: str) -> None:
        await asyncio.to_thread(_reported, lambda: _move(self._root / path, self._root / to))

    def _scan(self) -> Iterator[Entry]:
        folders = [""]
        while folders:
            here = folders.pop()
            try:
                found = sorted(os.scandir(self._root / here), key=lambda each: each.name)
            except OSError:
                if not here:  # a subfolder may be gone or unreadable; the folder itself must be there
                    raise
                continue
            for each in found:
                path = f"{here}{each.name}"
                if each.is_dir(follow_symlinks=False):
                    if not each.name.startswith(".") and path != self._excluded:
                        folders.append(f"{path}/")
                elif is_audio(each.name) and each.is_file(follow_symlinks=False):
                    with suppress(OSError):  # it was removed just now
                        yield _entry(path, each.stat(follow_symlinks=False))

    def _find(self, path: str) -> Entry | None:
        found = _found((self._root / path).lstat)
        return _entry(path, found) if found and stat.S_ISREG(found.st_mode) else None

    def _put(self, path: Path, content: bytes) -> None:
        _reported(lambda: path.parent.mkdir(parents=True, exist_ok=True))
        try:
            write_output(path, content)
        except CommandError as error:
            raise PlaceError(str(error)) from error


def _entry(path: str, found: os.stat_result) -> Entry:
    return Entry(path, found.st_size, str(found.st_mtime_ns), str(found.st_ctime_ns), found.st_mtime)


def _create(path: Path, content: bytes) -> bool:
    """Write the content, then give it the name if that is free: no reader sees a part of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.urandom(8).hex()}.part")
    try:
        fresh.write_bytes(content)
        _give_name(fresh, path, content)
    except FileExistsError:
        return False
    finally:
        fresh.unlink(missing_ok=True)
    return True


def _give_name(fresh: Path, path: Path, content: bytes) -> None:
    try:
        os.link(fresh, path)
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}:
            raise
        with path.open("xb") as file:  # a file system without links
            file.write(content)


def _move(path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    path.rename(to)


def _found(read: Callable[[], T]) -> T | None:
    try:
        return read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _error(error) from error


def _reported(act: Callable[[], T]) -> T:
    try:
        return act()
    except OSError as error:
        raise _error(error) from error


def _error(error: OSError) -> PlaceError:
    return PlaceError(f"{error.filename or 'The folder'}: {error.strerror or error}.")
