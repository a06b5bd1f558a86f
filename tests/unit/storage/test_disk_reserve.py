"""The blob store keeps the reserve of its disk, whichever way it is written to."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from shared.blobs.blob_errors import BlobStoreFullError
from shared.blobs.blob_store import BlobStore
from shared.disk_reserve import DiskReserve, ReserveError, free_disk_bytes, is_full
from tests.unit.boundaries.test_writes_are_guarded import GUARDED

MORE_THAN_ANY_DISK = 1 << 60
Write = Callable[[BlobStore, Path], Awaitable[None]]


async def _pieces() -> AsyncIterator[bytes]:
    yield b"ab"
    yield b"c"


async def _put_file(blobs: BlobStore, folder: Path) -> None:
    path = folder / "file"
    path.write_bytes(b"abc")
    await blobs.put("new/file", path)


WAYS: dict[str, Write] = {
    "put": lambda blobs, _: blobs.put("new/bytes", b"abc"),
    "put a file": _put_file,
    "put a stream": lambda blobs, _: blobs.put("new/stream", _pieces()),
    "put_small": lambda blobs, _: blobs.put_small("new/small", b"abc"),
    "copy": lambda blobs, _: blobs.copy("old", "new/copy"),
    "download": lambda blobs, folder: blobs.download("old", folder / "downloaded"),
}


def test_every_method_that_writes_is_listed() -> None:
    methods = {one.split()[1].partition(".")[2] for one in GUARDED if "BlobStore." in one}

    assert methods == {way.partition(" ")[0] for way in WAYS}


@pytest.mark.parametrize("way", WAYS)
async def test_a_write_that_would_use_the_reserve_is_refused(way: str, tmp_path: Path) -> None:
    store = tmp_path / "store"
    await BlobStore(store.as_uri()).put("old", b"old")

    with pytest.raises(BlobStoreFullError):
        await WAYS[way](BlobStore(store.as_uri(), min_free_bytes=MORE_THAN_ANY_DISK), tmp_path)

    assert [path.name for path in store.rglob("*") if path.is_file()] == ["old"]
    await WAYS[way](BlobStore(store.as_uri(), min_free_bytes=1), tmp_path)


async def test_concurrent_writes_share_what_one_measurement_found(tmp_path: Path) -> None:
    reserve = DiskReserve(tmp_path, free_disk_bytes(tmp_path) // 2)
    third = free_disk_bytes(tmp_path) // 5
    await reserve.require(third)
    await reserve.require(third)

    with pytest.raises(ReserveError) as refusal:
        await reserve.require(third)

    assert is_full(refusal.value)
    assert not is_full(OSError(errno.EIO, "broken"))


async def test_writes_that_arrive_before_the_first_measurement_wait_for_it(tmp_path: Path) -> None:
    reserve = DiskReserve(tmp_path, 1)

    await asyncio.gather(*(reserve.require(1) for _ in range(100)))


async def test_a_stream_is_refused_in_its_middle_and_leaves_nothing(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path.as_uri(), min_free_bytes=free_disk_bytes(tmp_path) - (256 << 20))

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(64 << 10)

    with pytest.raises(BlobStoreFullError):
        await blobs.put("endless", endless())
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - in an async test
