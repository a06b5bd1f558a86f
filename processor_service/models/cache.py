"""The folder of fetched models, each verified against the digest in its receipt before it is loaded.

A model for openai-whisper is a file, `<name>.pt`; one for CTranslate2 is a folder, `<name>.ct2`.
"""

import hashlib
import re
from enum import StrEnum
from pathlib import Path

import msgspec

NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
WEIGHTS = "model.bin"  # what every folder of CTranslate2 has


class ModelError(Exception):
    """A model cannot be had; the message says what to do."""


class Form(StrEnum):
    """What a model is stored as; the value is how its name ends."""

    CHECKPOINT = ".pt"
    FOLDER = ".ct2"


def form_for(engine: str) -> Form:
    """The form in which an engine takes its models."""
    return Form.FOLDER if engine == "faster-whisper" else Form.CHECKPOINT


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What lies in the cache, and where it came from."""

    sha256: str
    source: str


class ModelCache:
    """Models of one form by name in one folder."""

    def __init__(self, folder: Path, form: Form = Form.CHECKPOINT) -> None:
        self.folder = folder.expanduser()
        self.form = form

    def path(self, name: str) -> Path:
        return self.folder / f"{name}{self.form}"

    def find(self, name: str) -> Path | None:
        """The path of a model that was fetched, unverified; None when it is not here."""
        return self.path(name) if self._receipt(name).is_file() and is_model(self.path(name), self.form) else None

    def verify(self, name: str) -> Path:
        """The path of a model whose bytes are what they were when it was fetched; raises ModelError."""
        path = self.find(name)
        if path is None:
            raise ModelError(f"The model {name!r} is not in {self.folder}. {how_to_get(name)}")
        receipt = msgspec.json.decode(self._receipt(name).read_bytes(), type=Receipt)
        if digest_of(path) != receipt.sha256:
            raise ModelError(f"The model {path} is damaged. {how_to_get(name)}")
        return path

    def store(self, name: str, complete: Path, *, source: str) -> Path:
        """Move a complete model into the cache; the receipt comes last, so a crash leaves no half model."""
        receipt = Receipt(sha256=digest_of(complete), source=source)
        path = self.path(name)
        if path.is_dir():  # which cannot be replaced in one step
            path.replace(complete.with_name("replaced"))
        complete.replace(path)
        self._receipt(name).write_bytes(msgspec.json.encode(receipt))
        return path

    def _receipt(self, name: str) -> Path:
        return self.folder / (f"{name}.json" if self.form is Form.CHECKPOINT else f"{name}{self.form}.json")


def is_path(model: str) -> bool:
    """Whether HEADRACE_MODEL names a file or a folder rather than a model of the catalogue."""
    return "/" in model or model.endswith(".pt")


def is_model(path: Path, form: Form) -> bool:
    """Whether something lies there that looks like a model of a form."""
    return path.is_file() if form is Form.CHECKPOINT else (path / WEIGHTS).is_file()


def locate(model: str, cache: ModelCache) -> Path:
    """The model of a name or a path, ready to be loaded; raises ModelError."""
    if not is_path(model):
        return cache.verify(model)
    path = Path(model).expanduser()
    if not is_model(path, cache.form):
        wanted = "file" if cache.form is Form.CHECKPOINT else f"folder with a {WEIGHTS} in it"
        raise ModelError(f"HEADRACE_MODEL is {model}, and there is no such {wanted}.")
    return path


def how_to_get(name: str) -> str:
    return f"Fetch it with: python -m processor_service.models {name}"


def digest_of(model: Path) -> str:
    """The sha256 of a file; of a folder, that of the names and digests of its files."""
    if model.is_file():
        return sha256_of(model)
    lines = (f"{sha256_of(path)}  {path.name}\n" for path in sorted(model.iterdir()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
