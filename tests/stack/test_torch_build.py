"""Which build of torch fits: the decisions."""

import pytest

from deploy.local.set_up.errors import NotFoundError, SetUpError
from deploy.local.set_up.pip import downloaded_bytes
from deploy.local.set_up.torch_build import (
    Package,
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
def test_a_cpu_build_is_known_by_its_version_or_by_what_it_requires(
    version: str, requires: tuple[str, ...], platform: str, *, expected: bool
) -> None:
    assert is_cpu_build(torch(version, *requires), platform) is expected


def test_a_cpu_needs_no_library_for_gpus_and_no_extra() -> None:
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
def test_an_installed_torch_fits_what_is_asked_for(version: str, wanted: str | None, *, expected: bool) -> None:
    assert fits(version, wanted) is expected


@pytest.mark.parametrize("word", ["cpu", "skip", "cu130", "cu126", "rocm7.1", "xpu"])
def test_builds_that_torch_may_name(word: str) -> None:
    assert read_wanted({"TORCH": f" {word} "}, "linux") == word


@pytest.mark.parametrize("word", ["gpu", "CPU", "cuda", "cu", "2.13.0", "cpu --index-url http://elsewhere", "../cpu"])
def test_words_that_torch_may_not_name(word: str) -> None:
    with pytest.raises(SetUpError, match=r"is no build of torch\. Use cpu, cu130"):
        read_wanted({"TORCH": word}, "linux")


def test_macos_has_no_builds_for_gpus_of_nvidia() -> None:
    assert read_wanted({"TORCH": ""}, "darwin") is None
    with pytest.raises(SetUpError, match="no build for macOS"):
        read_wanted({"TORCH": "cu130"}, "darwin")


def test_the_index_is_pytorchs_or_a_mirror() -> None:
    assert index_of({}, "cpu") == "https://download.pytorch.org/whl/cpu"
    assert index_of({"TORCH_INDEX_URL": "https://mirror/whl/"}, "cu130") == "https://mirror/whl/cu130"


def test_an_index_that_has_none_is_no_lack_of_network() -> None:
    problems = {
        "a": NotFoundError("(from versions: none)", unreachable=False),
        "b": NotFoundError("", unreachable=True),
    }
    assert str(none_found("torch==2.13.0", None, problems, "")) == (
        "No torch==2.13.0 was found: a says: (from versions: none); b cannot be reached."
    )


def test_an_index_of_gpus_that_cannot_be_reached_is_no_lack_of_network() -> None:
    problems = {"https://mirror/cu130": NotFoundError("", unreachable=True)}
    assert str(none_found("torch==2.13.0", "cu130", problems, " through the proxy http://proxy:3128")) == (
        "No torch==2.13.0 was found for TORCH=cu130: https://mirror/cu130 cannot be reached;"
        " pip goes through the proxy http://proxy:3128."
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
def test_what_pip_downloads_is_added_up_from_its_lines(line: str, expected: int) -> None:
    assert downloaded_bytes(line) == expected
