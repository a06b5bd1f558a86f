"""What holds watched files and their outputs: a folder, or a prefix of a bucket."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import msgspec

from deploy.command.errors import CommandError, UsageError
from deploy.command.sources import ENDINGS, expanded

BUCKET_SCHEMES = ("s3://", "gs://", "az://")
PIECE_BYTES = 1 << 20
SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class PlaceError(CommandError):
    """The folder or bucket does not work now: it is missing, full, read-only or unreachable."""

    code = "place_unavailable"


class Entry(msgspec.Struct, frozen=True):
    """A file as it is now. `path`: below the place, with `/`. `stamp`: its time or ETag.

    `stamp` changes with the content, `touched` also changes with its permissions. `modified_s`: seconds since 1970.
    """

    path: str
    bytes: int
    stamp: str
    touched: str
    modified_s: float

    @property
    def version(self) -> str:
        return f"{self.bytes}-{self.stamp}"

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


class Place(Protocol):
    """Paths are below the place, with `/` between folders. All methods raise PlaceError."""

    name: str  # the absolute path or the URL
    is_atomic: bool  # whether a file appears with its whole content

    async def scan(self) -> list[Entry]:
        """Return the audio files with those of subfolders, without hidden files, links and the excluded folder."""

    async def find(self, path: str) -> Entry | None:
        """Return a file as it is now; None if it is gone."""

    def read(self, entry: Entry) -> AsyncIterator[bytes]:
        """Yield the content. Raise SourceError if it cannot be read, or is no longer the entry's."""

    async def get(self, path: str) -> bytes | None:
        """Return the content of a small file; None without one."""

    async def put(self, path: str, content: bytes) -> None:
        """Write a file as a whole, in place of one that exists."""

    async def create(self, path: str, content: bytes) -> bool:
        """Write a file as a whole if there is none. Return whether this call wrote it."""

    async def remove(self, path: str) -> None:
        """Delete a file, if there is one."""

    async def move(self, path: str, to: str) -> None:
        """Rename a file."""


def open_place(text: str, *, excluded: str | None = None) -> Place:
    """Open a folder, or `s3://bucket/prefix`. `excluded`: a subfolder that is not scanned. Raise UsageError."""
    if text.lower().startswith(BUCKET_SCHEMES):
        from deploy.command.watcher.bucket import BucketPlace  # obstore takes a while to import

        return BucketPlace(text, excluded)
    if "://" in text or not text:
        raise UsageError(f"{text!r} is neither a folder nor a bucket ({', '.join(BUCKET_SCHEMES)})")
    from deploy.command.watcher.folder import FolderPlace

    return FolderPlace(expanded(text), excluded)


def is_audio(name: str) -> bool:
    """Whether a name has an ending of audio or video, and is not hidden."""
    return not name.startswith(".") and Path(name).suffix.lower() in ENDINGS
