"""Install the torch that fits before any other package, and check that it can be imported."""

import shutil
import signal
import ssl
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, url2pathname, urlopen

from deploy.local.set_up.environment import last_line, python_of, site_packages
from deploy.local.set_up.pip import Package, Pip, install_wheels
from deploy.local.set_up.surroundings import SetUpError, has_gpu, readable_size, say
from deploy.local.set_up.torch_build import CUDA, PYTORCH_INDEX, Build, Search, fits, import_failed, needed_on_cpus

IMPORT = "import torch; print(torch.__version__)"
TORCH_FILES = ("torch", "torchgen", "functorch", "torch-*.dist-info")


def install_torch(pip: Pip, pin: str, wanted: str | None, environ: Mapping[str, str]) -> str:
    """Ensure a torch that fits. Return its version with the local part. Raise SetUpError."""
    version, error = _import_torch(pip.venv)
    if wanted == "skip":
        return version or _fail_skip(error, pip, pin)
    if _is_kept(version, pin, wanted) and any(site_packages(pip.venv).glob("torch-*.dist-info")):
        return version
    pip.renew()
    search = Search(pip, pin, environ)
    build = search.find(wanted)
    say(_announcement(build, search, environ))
    _install(pip, build)
    version, error = _import_torch(pip.venv)
    if not version:
        raise import_failed(error, python_of(pip.venv), for_gpus=build.with_dependencies)
    if wanted is None and has_gpu():
        say(f"This machine has an NVIDIA GPU, but this torch uses the CPU only. To use the GPU: make demo TORCH={CUDA}")
    return version


def _is_kept(version: str, pin: str, wanted: str | None) -> bool:
    return version.partition("+")[0] == pin.partition("==")[2] and fits(version, wanted)


def _fail_skip(error: str, pip: Pip, pin: str) -> str:
    command = f"{python_of(pip.venv)} -m pip install {pin}"
    raise SetUpError(f"TORCH=skip, but torch cannot be imported: {error}. To install it: {command}")


def _import_torch(venv: Path) -> tuple[str, str]:
    """Return its version and an empty string, or an empty string and the last line of the error."""
    answer = subprocess.run([python_of(venv), "-I", "-c", IMPORT], check=False, capture_output=True, text=True)
    if answer.returncode < 0:
        return "", f"Python ended with {signal.Signals(-answer.returncode).name}"
    return (last_line(answer.stdout), "") if answer.returncode == 0 else ("", last_line(answer.stderr))


def _install(pip: Pip, build: Build) -> None:
    for name in TORCH_FILES:  # pip cannot replace a torch without metadata
        for left in site_packages(pip.venv).glob(name):
            shutil.rmtree(left)
    pip.install([*build.options, build.requirement], "Cannot install torch")
    if needed_on_cpus(build.torch) and not build.with_dependencies:
        install_wheels(pip)  # what torch needs is among them


def _announcement(build: Build, search: Search, environ: Mapping[str, str]) -> str:
    size_bytes = _download_bytes(build.packages, environ.get("PIP_CERT"))
    size = "of unknown size" if size_bytes is None else readable_size(size_bytes)
    if not build.with_dependencies:
        return f"torch {build.torch.version} from {_origin(build.torch)}{f', {size}' if size_bytes != 0 else ''}"
    with_libraries = f"torch {build.torch.version} for GPUs with its libraries, {len(build.packages)} packages, {size}"
    if not search.problems:
        return with_libraries
    return (
        f"No CPU build was found ({search.reasons()}). Downloading {with_libraries}. To avoid it, stop now and"
        f" name a mirror of {PYTORCH_INDEX} in TORCH_INDEX_URL, or a folder with a CPU build in PIP_FIND_LINKS."
    )


def _origin(package: Package) -> str:
    """Return the host of its URL, or its folder."""
    parts = urlsplit(package.url)
    return parts.hostname or str(Path(url2pathname(parts.path)).parent)


def _download_bytes(packages: Sequence[Package], ca_file: str | None) -> int | None:
    """Return the size of their files; None if a server does not report it."""
    context = ssl.create_default_context(cafile=ca_file or None)
    with ThreadPoolExecutor(8) as pool:
        sizes = list(pool.map(lambda package: _file_bytes(package.url, context), packages))
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def _file_bytes(url: str, context: ssl.SSLContext) -> int | None:
    if url.startswith("file:"):
        return 0
    try:
        request = Request(url, method="HEAD")  # noqa: S310 - pip chose the URL, from its indexes
        with urlopen(request, timeout=15, context=context) as answer:  # noqa: S310 - as above
            return int(answer.headers["Content-Length"])
    except (OSError, TypeError, ValueError):  # TypeError: the header is missing
        return None
