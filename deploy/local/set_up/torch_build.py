"""Find the build of torch that fits: pure decisions, and `Search`, which queries the indexes in order.

PyPI's torch for Linux is the build for NVIDIA GPUs, which needs gigabytes of libraries. Therefore a CPU build is
searched first in pip's configured index, then in PyTorch's index. The last choice is the GPU build with its libraries.
"""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from deploy.local.set_up.pip import CONSTRAINTS, Package, Pip
from deploy.local.set_up.surroundings import NotFoundError, SetUpError, proxy_hint

PYTORCH_INDEX = "https://download.pytorch.org/whl"  # TORCH_INDEX_URL names a mirror
CONFIGURED = "pip's package index"
CUDA = "cu130"  # the CUDA version of the pinned torch
BUILDS = re.compile(r"cpu|skip|xpu|cu\d{2,3}|rocm\d+(\.\d+)*")
GPU_LIBRARY = re.compile(r"(nvidia|cuda|rocm|intel)([_-]|$)", re.IGNORECASE)
TRITON = re.compile(r"(pytorch[_-])?triton\b", re.IGNORECASE)
EXTRA = re.compile(r";.*\bextra\s*==")


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


class Search:
    """The search for `pin`, such as `torch==2.13.0`. `problems`: the error of each index queried so far."""

    def __init__(self, pip: Pip, pin: str, environ: Mapping[str, str]) -> None:
        self.problems: dict[str, NotFoundError] = {}
        self._pip = pip
        self._pin = pin
        self._environ = environ

    def find(self, wanted: str | None) -> Build:
        """Return the build to install. Raise SetUpError if there is none."""
        if wanted not in (None, "cpu"):
            build = self._in_pytorch_index(wanted)
        else:
            build = self._configured() or (self._in_pytorch_index("cpu") if sys.platform == "linux" else None)
        if build is None and wanted is None and not self.problems[CONFIGURED].unreachable:
            build = self._with_gpu_libraries()
        if build is None:
            raise none_found(self._pin, wanted, self.problems, proxy_hint())
        return build

    def reasons(self) -> str:
        """Return the errors of the queried indexes."""
        return reasons(self.problems)

    def _configured(self) -> Build | None:
        """Return the build of pip's configured index if it is a CPU build."""
        try:
            [torch] = self._pip.look_up(self._pin, "--no-deps")
        except NotFoundError as error:
            self.problems[CONFIGURED] = error
            return None
        if is_cpu_build(torch, sys.platform):
            return Build(f"torch=={torch.version}", (torch,))
        self.problems[CONFIGURED] = NotFoundError("no CPU build", unreachable=False)
        return None

    def _in_pytorch_index(self, build: str) -> Build | None:
        index = index_of(self._environ, build)
        options = ("--index-url", index) if build != "cpu" else ("--index-url", index, "--no-deps")
        try:
            packages = self._pip.look_up(f"{self._pin}+{build}", *options)
        except NotFoundError as error:
            self.problems[index] = error
            return None
        return Build(f"{self._pin}+{build}", tuple(packages), options, with_dependencies=build != "cpu")

    def _with_gpu_libraries(self) -> Build | None:
        """Return the default index' build, which needs all its dependencies."""
        options = ("--constraint", str(CONSTRAINTS))
        try:
            packages = self._pip.look_up(self._pin, *options)
        except NotFoundError as error:
            self.problems[CONFIGURED] = error
            return None
        return Build(self._pin, tuple(packages), options, with_dependencies=True)


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
