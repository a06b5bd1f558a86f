"""Decisions about the build of torch."""

import pytest

from deploy.local.set_up.pip import Package, downloaded_bytes
from deploy.local.set_up.surroundings import NotFoundError, SetUpError
from deploy.local.set_up.torch_build import (
    fits,
    index_of,
    is_cpu_build,
    needed_on_cpus,
    none_found,
    read_wanted,
)

CUDA_LIBRARIES = ('cuda-toolkit[cublas]==13.0.3; platform_system == "Linux"', "nvidia-nccl-cu13==2.29.7")
EVERYWHERE = ("filelock", "typing-extensions>=4.10.0")


def torch(version: str, *requires: str) -> Package:
    return Package("torch", version, "https://index/torch.whl", requires)


@pytest.mark.parametrize(
    ("version", "requires", "platform", "expected"),
    [
        ("2.13.0", (*EVERYWHERE, *CUDA_LIBRARIES), "linux", False),
        ("2.13.0", EVERYWHERE, "linux", True),
        ("2.13.0", (*EVERYWHERE, *CUDA_LIBRARIES), "darwin", True),
        ("2.13.0", (*EVERYWHERE, "nvidia_cudnn_cu13"), "linux", False),
        ("2.13.0+cpu", EVERYWHERE, "linux", True),
        ("2.13.0+cpu.cxx11.abi", EVERYWHERE, "linux", True),
        ("2.13.0+cu130", EVERYWHERE, "linux", False),
        ("2.13.0+rocm7.1", EVERYWHERE, "linux", False),
        ("2.13.0+xpu", EVERYWHERE, "linux", False),
    ],
)
def test_a_cpu_build_is_recognized_by_version_or_dependencies(
    version: str, requires: tuple[str, ...], platform: str, *, expected: bool
) -> None:
    assert is_cpu_build(torch(version, *requires), platform) is expected


def test_a_cpu_build_needs_no_gpu_libraries_and_no_extras() -> None:
    unneeded = (
        *CUDA_LIBRARIES,
        'triton==3.7.1; platform_system == "Linux"',
        "pytorch-triton",
        'optree; extra == "optree"',
    )
    assert needed_on_cpus(torch("2.13.0", *unneeded, *EVERYWHERE)) == list(EVERYWHERE)


@pytest.mark.parametrize(
    ("version", "wanted", "expected"),
    [
        ("2.13.0+cu130", None, True),
        ("2.13.0+cu130", "cu130", True),
        ("2.13.0+cu130", "cpu", False),
        ("2.13.0+cpu", "cu130", False),
        ("2.13.0", "cpu", True),  # macOS
        ("2.99", "skip", True),
    ],
)
def test_an_installed_torch_fits_the_wanted_build(version: str, wanted: str | None, *, expected: bool) -> None:
    assert fits(version, wanted) is expected


@pytest.mark.parametrize("word", ["cpu", "skip", "cu130", "cu126", "rocm7.1", "xpu"])
def test_valid_builds(word: str) -> None:
    assert read_wanted({"TORCH": f" {word} "}, "linux") == word


@pytest.mark.parametrize("word", ["gpu", "CPU", "cuda", "cu", "2.13.0", "cpu --index-url http://elsewhere", "../cpu"])
def test_invalid_builds(word: str) -> None:
    with pytest.raises(SetUpError, match=r"Invalid TORCH=.*\. Use cpu, cu130"):
        read_wanted({"TORCH": word}, "linux")


def test_macos_has_no_builds_for_nvidia_gpus() -> None:
    assert read_wanted({"TORCH": ""}, "darwin") is None
    with pytest.raises(SetUpError, match="no build for macOS"):
        read_wanted({"TORCH": "cu130"}, "darwin")


def test_the_index_is_pytorchs_or_a_mirror() -> None:
    assert index_of({}, "cpu") == "https://download.pytorch.org/whl/cpu"
    assert index_of({"TORCH_INDEX_URL": "https://mirror/whl/"}, "cu130") == "https://mirror/whl/cu130"


def test_an_index_without_a_build_is_not_a_network_error() -> None:
    problems = {
        "a": NotFoundError("(from versions: none)", unreachable=False),
        "b": NotFoundError("", unreachable=True),
    }
    assert str(none_found("torch==2.13.0", None, problems, "")) == (
        "No torch==2.13.0 was found: a says: (from versions: none); b cannot be reached."
    )


def test_an_unreachable_gpu_index_is_not_a_network_error() -> None:
    problems = {"https://mirror/cu130": NotFoundError("", unreachable=True)}
    assert str(none_found("torch==2.13.0", "cu130", problems, " through the proxy http://proxy:3128")) == (
        "No torch==2.13.0 was found for TORCH=cu130: https://mirror/cu130 cannot be reached;"
        " pip connects through the proxy http://proxy:3128."
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("  Downloading torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl (526.6 MB)\n", 526_600_000),
        ("Downloading a.whl.metadata (5.2 kB)\n", 5_200),
        ("  Downloading https://index/a(1)-1.0.whl (512 bytes)\n", 512),
        ("  Using cached a-1.0.whl (526.6 MB)\n", 0),
        ("Processing /wheels/a-1.0.whl\n", 0),
    ],
)
def test_download_sizes_are_read_from_pips_output(line: str, expected: int) -> None:
    assert downloaded_bytes(line) == expected
