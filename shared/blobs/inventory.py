"""Reads a bucket's own inventory: the lists of all its blobs that Amazon S3 writes once a day, instead of listings.

The format is CSV, compressed by gzip. A manifest names the files and their columns:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html
"""

import asyncio
import csv
import datetime as dt
import gzip
import io
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice
from urllib.parse import unquote_plus

import msgspec

from shared.blobs.blob_errors import BlobNotFoundError, BlobStoreError
from shared.blobs.blob_facts import BlobFacts
from shared.blobs.blob_store import LIST_PAGE, BlobStore

MANIFEST = "manifest.json"
COLUMNS = ("Key", "Size", "LastModifiedDate")


class InventoryFile(msgspec.Struct, frozen=True):
    """One file of an inventory."""

    key: str  # in the inventory's bucket


class Manifest(msgspec.Struct, frozen=True, rename="camel"):
    """What an inventory consists of."""

    file_format: str
    file_schema: str  # the names of the columns
    files: tuple[InventoryFile, ...]

    @property
    def columns(self) -> Sequence[int]:
        """The positions of COLUMNS. Raises BlobStoreError for an inventory that cannot be read."""
        names = [name.strip() for name in self.file_schema.split(",")]
        if self.file_format != "CSV" or not set(COLUMNS) <= set(names):
            raise BlobStoreError(f"the inventory must be CSV with the columns {', '.join(COLUMNS)}")
        return [names.index(name) for name in COLUMNS]


class Inventory:
    """The inventories in a folder: `s3://bucket/prefix/source-bucket/configuration`. Raises BlobStoreError."""

    def __init__(self, folder: BlobStore, *, key_prefix: str) -> None:
        """`key_prefix`: of the blobs whose store is searched; the inventory names whole keys of its bucket."""
        self._folder = folder
        self._key_prefix = key_prefix

    async def newest(self) -> str:
        """Return the key of the newest manifest; empty: there is none. The names of the folders are times."""
        for folder in sorted(await self._folder.folders(), reverse=True):
            try:
                await self._folder.size(f"{folder}/{MANIFEST}")
            except BlobNotFoundError:
                continue  # such as `data` and `hive`
            return f"{folder}/{MANIFEST}"
        return ""

    async def manifest(self, key: str) -> Manifest:
        """Read a manifest."""
        try:
            return msgspec.json.decode(await self._folder.get(key), type=Manifest)
        except msgspec.MsgspecError as error:
            raise BlobStoreError(f"the manifest of the inventory is invalid: {error}") from error

    async def pages(self, manifest: Manifest, number: int, prefix: str) -> AsyncIterator[list[BlobFacts]]:
        """Yield the blobs under a prefix that a file names. S3 writes about a million rows a file."""
        data = await self._folder.get(manifest.files[number].key.removeprefix(self._folder.key_prefix))
        rows = self._read(data, manifest.columns, f"{self._key_prefix}{prefix}/")
        try:
            while page := await asyncio.to_thread(lambda: list(islice(rows, LIST_PAGE))):
                yield page
        except (OSError, EOFError, ValueError, IndexError) as error:
            raise BlobStoreError(f"a file of the inventory is invalid: {error}") from error

    def _read(self, data: bytes, columns: Sequence[int], prefix: str) -> Iterator[BlobFacts]:
        with gzip.open(io.BytesIO(data), "rt", newline="") as text:
            for row in csv.reader(text):
                key, size, modified_at = [row[column] for column in columns]
                if (key := unquote_plus(key)).startswith(prefix):
                    at = dt.datetime.fromisoformat(modified_at)
                    yield BlobFacts(key.removeprefix(self._key_prefix), at, int(size or 0))
