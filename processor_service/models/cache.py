"""The folder of fetched models. Each is verified against the digest in its receipt before it is loaded."""

import hashlib
import re
from enum import StrEnum
from pathlib import Path

import msgspec

NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
WEIGHTS = "model.bin"  # in every CTranslate2 folder


class ModelError(Exception):
    """A model is not available. The message says what to do."""


class Form(StrEnum):
    """How a model is stored. The value is the suffix of its name in the cache."""

    CHECKPOINT = ".pt"  # a file for openai-whisper
    FOLDER = ".ct2"  # a folder for CTranslate2


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """The digest and the origin of a model in the cache."""

    sha256: str
    source: str


class ModelCache:
    """The models of one form in a folder, by name."""

    def __init__(self, folder: Path, form: Form = Form.CHECKPOINT) -> None:
        self.folder = folder.expanduser()
        self.form = form

    def path(self, name: str) -> Path:
        return self.folder / f"{name}{self.form}"

    def find(self, name: str) -> Path | None:
        """The path of a fetched model, unverified; None when it is not in the cache."""
        return self.path(name) if self._receipt(name).is_file() and is_model(self.path(name), self.form) else None

    def names(self) -> list[str]:
        """The names of all fetched models, unverified."""
        ending = ".json" if self.form is Form.CHECKPOINT else f"{self.form}.json"
        receipts = self.folder.glob(f"*{ending}")
        return [name for name in (path.name.removesuffix(ending) for path in receipts) if self.find(name)]

    def verify(self, name: str) -> Path:
        """Return the path of a model after comparing its digest with the receipt. Raise ModelError."""
        path = self.find(name)
        if path is None:
            raise ModelError(f"The model {name!r} is not in {self.folder}. {how_to_get(name)}")
        receipt = msgspec.json.decode(self._receipt(name).read_bytes(), type=Receipt)
        if digest_of(path) != receipt.sha256:
            raise ModelError(f"The model {path} is damaged. {how_to_get(name)}")
        return path

    def store(self, name: str, complete: Path, *, source: str) -> Path:
        """Move a complete model into the cache. The receipt is last: a crash leaves no partial model."""
        receipt = Receipt(sha256=digest_of(complete), source=source)
        path = self.path(name)
        if path.is_dir():  # a folder cannot be replaced atomically
            path.replace(complete.with_name("replaced"))
        complete.replace(path)
        self._receipt(name).write_bytes(msgspec.json.encode(receipt))
        return path

    def _receipt(self, name: str) -> Path:
        return self.folder / (f"{name}.json" if self.form is Form.CHECKPOINT else f"{name}{self.form}.json")


def is_path(model: str) -> bool:
    """Whether HEADRACE_MODEL names a path rather than a model of the catalogue."""
    return "/" in model or model.endswith(".pt")


def is_model(path: Path, form: Form) -> bool:
    """Whether the path holds a model of the form, judged by its file names."""
    return path.is_file() if form is Form.CHECKPOINT else (path / WEIGHTS).is_file()


def locate(model: str, cache: ModelCache) -> Path:
    """Return the path of a model, given by name or path and ready to load. Raise ModelError."""
    if not is_path(model):
        return cache.verify(model)
    path = Path(model).expanduser()
    if not is_model(path, cache.form):
        wanted = "file" if cache.form is Form.CHECKPOINT else f"folder that contains {WEIGHTS}"
        raise ModelError(f"The model {model} must be a {wanted}.")
    return path


def how_to_get(name: str) -> str:
    return f"Fetch it with: python -m processor_service.models {name}"


def digest_of(model: Path) -> str:
    """The sha256 of a file; for a folder, the sha256 of its files' digests and names."""
    if model.is_file():
        return sha256_of(model)
    lines = (f"{sha256_of(path)}  {path.name}\n" for path in sorted(model.iterdir()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
