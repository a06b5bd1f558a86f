"""The folder of fetched models: `<name>.pt`, verified against the digest in `<name>.json` before it is loaded."""

import hashlib
import re
from pathlib import Path

import msgspec

NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")


class ModelError(Exception):
    """A model cannot be had; the message says what to do."""


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What lies in the cache, and where it came from."""

    sha256: str
    source: str


class ModelCache:
    """Models by name in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.expanduser()

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.pt"

    def find(self, name: str) -> Path | None:
        """The path of a model that was fetched, unverified; None when it is not here."""
        return self.path(name) if self._receipt(name).is_file() and self.path(name).is_file() else None

    def verify(self, name: str) -> Path:
        """The path of a model whose bytes are what they were when it was fetched; raises ModelError."""
        path = self.find(name)
        if path is None:
            raise ModelError(f"The model {name!r} is not in {self.folder}. {how_to_get(name)}")
        receipt = msgspec.json.decode(self._receipt(name).read_bytes(), type=Receipt)
        if sha256_of(path) != receipt.sha256:
            raise ModelError(f"The model file {path} is damaged. {how_to_get(name)}")
        return path

    def store(self, name: str, complete: Path, *, source: str) -> Path:
        """Move a complete file into the cache; the receipt comes last, so a crash leaves no half model."""
        receipt = Receipt(sha256=sha256_of(complete), source=source)
        complete.replace(self.path(name))
        self._receipt(name).write_bytes(msgspec.json.encode(receipt))
        return self.path(name)

    def _receipt(self, name: str) -> Path:
        return self.folder / f"{name}.json"


def is_path(model: str) -> bool:
    """Whether HEADRACE_MODEL names a file rather than a model of the catalogue."""
    return "/" in model or model.endswith(".pt")


def locate(model: str, cache: ModelCache) -> Path:
    """The checkpoint of a name or a path, ready to be loaded; raises ModelError."""
    if not is_path(model):
        return cache.verify(model)
    path = Path(model).expanduser()
    if not path.is_file():
        raise ModelError(f"HEADRACE_MODEL is {model}, and there is no such file.")
    return path


def how_to_get(name: str) -> str:
    return f"Fetch it with: python -m processor_service.models {name}"


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
