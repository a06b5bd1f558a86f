"""Decide which build of torch fits. Pure functions; install_torch.py has the effects.

PyPI's torch for Linux is the build for NVIDIA GPUs, which needs gigabytes of libraries. Therefore a CPU build is
searched first in pip's configured index, then in PyTorch's index. The last choice is the GPU build with its libraries.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from deploy.local.set_up.surroundings import NotFoundError, SetUpError

PYTORCH_INDEX = "https://download.pytorch.org/whl"  # TORCH_INDEX_URL names a mirror
CUDA = "cu130"  # the CUDA version of the pinned torch
BUILDS = re.compile(r"cpu|skip|xpu|cu\d{2,3}|rocm\d+(\.\d+)*")
GPU_LIBRARY = re.compile(r"(nvidia|cuda|rocm|intel)([_-]|$)", re.IGNORECASE)
TRITON = re.compile(r"(pytorch[_-])?triton\b", re.IGNORECASE)
EXTRA = re.compile(r";.*\bextra\s*==")


@dataclass(frozen=True)
class Package:
    """A package that pip would install: `url` of its file, `requires` from its metadata."""

    name: str
    version: str
    url: str
    requires: tuple[str, ...] = ()


@dataclass(frozen=True)
class Build:
    """A torch to install, and pip's options for it. `packages`: all packages to download."""

    requirement: str
    packages: tuple[Package, ...]
    options: tuple[str, ...] = ()
    with_dependencies: bool = False

    @property
    def torch(self) -> Package:
        return next(package for package in self.packages if package.name == "torch")


def read_wanted(environ: Mapping[str, str], platform: str) -> str | None:
    """Return the build that TORCH names, or None for an automatic choice. Raise SetUpError if TORCH is invalid."""
    wanted = environ.get("TORCH", "").strip()
    if not wanted:
        return None
    if not BUILDS.fullmatch(wanted):
        raise SetUpError(f"Invalid TORCH={wanted}. Use cpu, {CUDA} (for NVIDIA GPUs), or skip (install none).")
    if platform == "darwin" and wanted not in ("cpu", "skip"):
        raise SetUpError(f"TORCH={wanted} has no build for macOS. Use TORCH=cpu, or omit it.")
    return wanted


def fits(version: str, wanted: str | None) -> bool:
    """Return whether an installed torch is the wanted build. Any build fits if none is named."""
    local = version.partition("+")[2] or "cpu"
    return wanted in (None, "skip", local)


def is_cpu_build(package: Package, platform: str) -> bool:
    """Decide by the local part of the version, such as +cpu; without one, by the dependencies."""
    local = package.version.partition("+")[2]
    if local:
        return local.startswith("cpu")
    return platform == "darwin" or not any(map(GPU_LIBRARY.match, package.requires))


def needed_on_cpus(package: Package) -> list[str]:
    """Return the dependencies of a CPU build: no GPU libraries, no triton, no extras."""
    unneeded = (GPU_LIBRARY.match, TRITON.match, EXTRA.search)
    return [each for each in package.requires if not any(test(each) for test in unneeded)]


def index_of(environ: Mapping[str, str], build: str) -> str:
    """Return PyTorch's index of a build, or its mirror."""
    return f"{(environ.get('TORCH_INDEX_URL') or PYTORCH_INDEX).rstrip('/')}/{build}"


def none_found(pin: str, wanted: str | None, problems: Mapping[str, NotFoundError], proxy: str) -> SetUpError:
    """Return the error if no index has a build. `problems`: by index; `proxy`: see proxy_hint."""
    if wanted is None and all(problem.unreachable for problem in problems.values()):
        return SetUpError(
            f"No network: {' and '.join(problems)} cannot be reached{proxy}. Set-up needs a network, a working proxy"
            " (HTTPS_PROXY), or a folder of wheels (PIP_FIND_LINKS)."
        )
    asked = f" for TORCH={wanted}" if wanted else ""
    return SetUpError(f"No {pin} was found{asked}: {reasons(problems)}{proxy and f'; pip connects{proxy}'}.")


def reasons(problems: Mapping[str, NotFoundError]) -> str:
    """Return the error of each index as text."""
    return "; ".join(
        f"{i} {'cannot be reached' if each.unreachable else f'says: {each}'}" for i, each in problems.items()
    )


def import_failed(error: str, python: str, *, for_gpus: bool) -> SetUpError:
    """Return the error for an installed torch that cannot be imported, with a command to copy."""
    if not for_gpus:
        return SetUpError(f"torch cannot be imported: {error}. To see the full error: {python} -c 'import torch'")
    return SetUpError(f"torch cannot be imported: {error}. To install the CPU build: make demo TORCH=cpu")
