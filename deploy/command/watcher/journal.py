"""What watchers remember of files, beside the outputs: several watchers, on several machines, share it.

One small JSON file for each watched file, and one for each name of outputs, in a hidden folder. Each is written as a
whole.
"""

import hashlib
import os
import unicodedata
from collections.abc import Sequence
from typing import Literal

import msgspec

from deploy.command.outputs import ENDINGS
from deploy.command.sources import printable
from deploy.command.watcher.places import Entry, Place

FOLDER = ".headrace"
LONGEST_NAME_BYTES = 200  # file systems allow 255
Step = Literal["begun", "submitted", "written", "done", "error"]
FINAL: frozenset[Step] = frozenset({"done", "error"})


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far the work on one version of a file is.

    `generation`: how often it was submitted again because its job did not exist any more.
    """

    path: str  # for readers: as it can be shown
    version: str
    step: Step
    job_id: str | None = None
    generation: int = 0


class Journal:
    """The records of the files of one source. `source_name` is equal for all watchers of the same files."""

    def __init__(self, place: Place, source_name: str) -> None:
        self._place = place
        self._source_name = source_name

    def file_id(self, path: str) -> str:
        """Return what names a file in this journal, and in idempotency keys."""
        return digest(self._source_name, path)

    async def read(self, entry: Entry) -> Record | None:
        """Return the record of the entry's version; None without one. Raise PlaceError."""
        record = await self._read(entry.path)
        return record if record is not None and record.version == entry.version else None

    async def knows(self, path: str) -> bool:
        """Whether there is a record of any version of a file. Raise PlaceError."""
        return await self._read(path) is not None

    async def write(self, entry: Entry, step: Step, *, job_id: str | None = None, generation: int = 0) -> Record:
        """Remember how far the work is. Raise PlaceError."""
        record = Record(
            path=printable(entry.path), version=entry.version, step=step, job_id=job_id, generation=generation
        )
        await self._place.put(self._record_path(entry.path), msgspec.json.encode(record))
        return record

    async def claim_base(self, path: str, formats: Sequence[str]) -> str:
        """Return the path of a file's outputs without their endings; the same at each call. Raise PlaceError.

        `talk.mp3` gets `talk`, or `talk.mp3` if that is another file's, or has outputs that no watcher wrote.
        """
        me = self.file_id(path)
        for base in _bases(path, me):
            owner_path = f"{FOLDER}/names/{_folded_hash(base)}"
            owner = await self._place.get(owner_path)
            if owner is None and not await self._has_outputs(base, formats):
                if await self._place.create(owner_path, me.encode()):
                    return base
                owner = await self._place.get(owner_path)
            if owner == me.encode():
                return base
        raise AssertionError("the last base contains the id of the file")

    async def adopt_base(self, path: str) -> None:
        """Note that the outputs with the file's own name are its outputs."""
        base = _bases(path, "")[0]
        await self._place.create(f"{FOLDER}/names/{_folded_hash(base)}", self.file_id(path).encode())

    async def older_outputs(self, entry: Entry, formats: Sequence[str]) -> bool:
        """Whether all outputs exist that a file would get, though no watcher wrote them, and none is older than it."""
        base = _bases(entry.path, "")[0]
        if await self._place.get(f"{FOLDER}/names/{_folded_hash(base)}") is not None:
            return False
        found = [await self._place.find(with_ending(base, each)) for each in formats]
        return all(each is not None and each.modified_s >= entry.modified_s for each in found)

    async def _read(self, path: str) -> Record | None:
        content = await self._place.get(self._record_path(path))
        if content is None:
            return None
        try:
            return msgspec.json.decode(content, type=Record)
        except msgspec.MsgspecError:  # of a newer version, or damaged: the idempotency key still finds the job
            return None

    async def _has_outputs(self, base: str, formats: Sequence[str]) -> bool:
        for each in formats:
            if await self._place.find(with_ending(base, each)) is not None:
                return True
        return False

    def _record_path(self, path: str) -> str:
        return f"{FOLDER}/files/{self.file_id(path)}.json"


def _bases(path: str, file_id: str) -> tuple[str, str, str]:
    """Return the paths that outputs may have, the best first. Long names are cut: an ending must fit behind them."""
    folder, slash, name = path.rpartition("/")
    stem = name.rpartition(".")[0] or name
    short = name
    while len(os.fsencode(short)) > LONGEST_NAME_BYTES:
        short = short[:-1]
    before = folder + slash
    return before + (stem if short == name else short), before + short, f"{before}{short}.{file_id[:8]}"


def _folded_hash(base: str) -> str:
    """Return a hash that is equal for names which a file system may take for the same."""
    return digest(unicodedata.normalize("NFC", base).casefold())


def with_ending(base: str, output_format: str) -> str:
    """Return the path of one output."""
    return f"{base}.{ENDINGS.get(output_format, output_format)}"


def digest(*parts: str) -> str:
    """Return 32 characters that differ between the parts."""
    return hashlib.sha256(b"\0".join(os.fsencode(each) for each in parts)).hexdigest()[:32]
