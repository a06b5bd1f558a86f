"""Which build of torch fits: pure decisions. install_torch.py carries them out.

PyPI's torch for Linux is the build for NVIDIA's GPUs, which needs gigabytes of libraries. So a CPU build is looked for
first where pip's configuration looks, then in PyTorch's own index; last comes the default index, with what it needs.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from deploy.local.set_up.errors import NotFoundError, SetUpError

PYTORCH_INDEX = "https://download.pytorch.org/whl"  # TORCH_INDEX_URL names a mirror of it
CUDA = "cu130"  # what the pinned torch is built for
BUILDS = re.compile(r"cpu|skip|xpu|cu\d{2,3}|rocm\d+(\.\d+)*")
GPU_LIBRARY = re.compile(r"(nvidia|cuda|rocm|intel)([_-]|$)", re.IGNORECASE)
TRITON = re.compile(r"(pytorch[_-])?triton\b", re.IGNORECASE)
EXTRA = re.compile(r";.*\bextra\s*==")


@dataclass(frozen=True)
class Package:
    """A package that pip would install: `url` of the file, `requires` as its metadata has it."""

    name: str
    version: str
    url: str
    requires: tuple[str, ...] = ()


@dataclass(frozen=True)
class Build:
    """A torch to install, and pip's options for it; `packages` is all that this fetches."""

    requirement: str
    packages: tuple[Package, ...]
    options: tuple[str, ...] = ()
    with_dependencies: bool = False

    @property
    def torch(self) -> Package:
        return next(package for package in self.packages if package.name == "torch")


def read_wanted(environ: Mapping[str, str], platform: str) -> str | None:
    """The build that TORCH asks for; None leaves the choice to set-up. Raises SetUpError for any other word."""
    wanted = environ.get("TORCH", "").strip()
    if not wanted:
        return None
    if not BUILDS.fullmatch(wanted):
        raise SetUpError(
            f"TORCH={wanted} is no build of torch. Use cpu, {CUDA} (for NVIDIA GPUs), or skip (install none)."
        )
    if platform == "darwin" and wanted not in ("cpu", "skip"):
        raise SetUpError(f"TORCH={wanted} has no build for macOS. Use TORCH=cpu, or leave it out.")
    return wanted


def fits(version: str, wanted: str | None) -> bool:
    """Whether an installed torch is of the build asked for; any is when none is asked for."""
    local = version.partition("+")[2] or "cpu"
    return wanted in (None, "skip", local)


def is_cpu_build(package: Package, platform: str) -> bool:
    """By the local part of its version, such as +cpu; else by what it requires."""
    local = package.version.partition("+")[2]
    if local:
        return local.startswith("cpu")
    return platform == "darwin" or not any(map(GPU_LIBRARY.match, package.requires))


def needed_on_cpus(package: Package) -> list[str]:
    """What a CPU build of torch needs to be imported: no libraries for GPUs, no triton, no extras."""
    unneeded = (GPU_LIBRARY.match, TRITON.match, EXTRA.search)
    return [each for each in package.requires if not any(test(each) for test in unneeded)]


def index_of(environ: Mapping[str, str], build: str) -> str:
    """PyTorch's index of a build, or a mirror of it."""
    return f"{(environ.get('TORCH_INDEX_URL') or PYTORCH_INDEX).rstrip('/')}/{build}"


def none_found(pin: str, wanted: str | None, problems: Mapping[str, NotFoundError], proxy: str) -> SetUpError:
    """The error when no index had one; `problems` by the indexes' names, `proxy` such as ` through …` or empty."""
    if wanted is None and all(problem.unreachable for problem in problems.values()):
        return SetUpError(
            f"No network: {' and '.join(problems)} cannot be reached{proxy}. Set-up needs a network, a proxy that works"
            " (HTTPS_PROXY), or a folder of wheels (PIP_FIND_LINKS)."
        )
    asked = f" for TORCH={wanted}" if wanted else ""
    return SetUpError(f"No {pin} was found{asked}: {reasons(problems)}{proxy and f'; pip goes{proxy}'}.")


def reasons(problems: Mapping[str, NotFoundError]) -> str:
    """Why each index gave nothing."""
    return "; ".join(
        f"{i} {'cannot be reached' if each.unreachable else f'says: {each}'}" for i, each in problems.items()
    )


def import_failed(error: str, python: str, *, for_gpus: bool) -> SetUpError:
    """The error when the torch that was installed cannot be imported, with a command to copy."""
    if not for_gpus:
        return SetUpError(f"torch cannot be imported: {error}. To see all of it: {python} -c 'import torch'")
    return SetUpError(f"torch cannot be imported: {error}. To install the CPU build: make demo TORCH=cpu")
