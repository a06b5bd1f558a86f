"""Set-up on a simulated machine: real pip, indexes on loopback, small wheels."""

import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.local.set_up.environment import can_stay, make_environment
from deploy.local.set_up.surroundings import SetUpError
from deploy.local.unprivileged import _search_capability, is_root
from tests.support.stack.indexes import Machine, cpu_torch, cuda_torch, machine, place_environment, write_wheel

pytestmark = [pytest.mark.process, pytest.mark.slow]

UNKNOWN_USER_ID = 54321


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with pip only."""
    venv = tmp_path_factory.mktemp("template") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    return venv


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Machine]:
    """A machine without a .venv."""
    with machine(tmp_path) as made:
        yield made


@pytest.fixture
def prepared(bare: Machine, template: Path) -> Machine:
    """A machine with a .venv that contains pip only. Creating one takes most of the time of a set-up."""
    place_environment(template, bare.venv)
    return bare


def break_torch(here: Machine) -> Path:
    """Install the GPU build without its libraries into .venv, as an older set-up did."""
    wheel = cuda_torch(here.folder / "wheels")
    command = [str(here.venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps", str(wheel)]
    subprocess.run(command, check=True, env=here.environ)
    [torch] = here.venv.glob("lib/*/site-packages/torch")
    return torch


def test_plain_pip_gets_the_cpu_build_and_restores_a_lost_package(bare: Machine) -> None:
    printed = bare.done()
    assert "creating .venv; this takes" in printed
    assert "torch 2.13.0+cpu from 127.0.0.1, 0 MB" in printed
    assert {"torch", "small_need.py", "small_package", "headrace.pth"} <= bare.installed
    assert "stand_in_cudnn.py" not in bare.installed
    assert not any(path.endswith(".whl") and "nvidia" in path for path in bare.default.asked)
    [package] = bare.venv.glob("lib/*/site-packages/small_package")
    shutil.rmtree(package)
    bare.pytorch.asked.clear()
    bare.done()
    assert package.is_dir()
    assert not bare.pytorch.asked, "a working torch is kept"


def test_without_pytorchs_index_the_gpu_build_is_announced_with_its_size(prepared: Machine) -> None:
    prepared.cut_off("TORCH_INDEX_URL")
    (prepared.default.folder / "nvidia-cudnn-cu13" / "nvidia_cudnn_cu13-9.20-py3-none-any.whl").unlink()
    libraries = {"stand_in_cudnn.py": "", "library.so": "0" * 3_000_000}
    write_wheel(prepared.default.folder / "nvidia-cudnn-cu13", "nvidia-cudnn-cu13", "9.20", libraries)
    printed = prepared.done()
    [line] = [line for line in printed.splitlines() if "No CPU build was found" in line]
    assert "/cpu cannot be reached" in line
    assert "3 packages, 3 MB" in line
    assert "TORCH_INDEX_URL" in line
    assert re.search(r"done, [1-9]\d* MB downloaded", printed), "an old pip downloads more than 3 MB"
    assert "stand_in_cudnn.py" in prepared.installed


def test_a_cpu_build_of_the_configured_index_is_used(prepared: Machine) -> None:
    cpu_torch(prepared.default.folder / "torch")
    assert prepared.found().requirement == "torch==2.13.0+cpu"
    assert not prepared.pytorch.asked


def test_a_cpu_build_in_a_folder_of_wheels_is_used(prepared: Machine) -> None:
    wheel = cpu_torch(prepared.folder / "wheels")
    prepared.environ["PIP_FIND_LINKS"] = str(wheel.parent)
    assert prepared.found().torch.url == wheel.as_uri().replace("+", "%2B")
    assert not prepared.pytorch.asked


def test_a_folder_of_wheels_suffices_without_an_index_and_a_gpu_is_reported(prepared: Machine) -> None:
    wheels = prepared.folder / "wheels"
    cpu_torch(wheels)
    for wheel in prepared.default.folder.glob("small-*/*.whl"):
        shutil.copy(wheel, wheels)
    (wheels / "nvidia-smi").touch(0o755)
    prepared.environ |= {
        "PIP_FIND_LINKS": str(wheels),
        "PIP_NO_INDEX": "1",
        "PATH": f"{wheels}:{prepared.environ['PATH']}",
    }
    printed = prepared.done()
    assert f"torch 2.13.0+cpu from {wheels}\n" in printed
    assert "To use the GPU: make demo TORCH=cu130\n" in printed
    assert "done, 0 MB downloaded" in printed
    assert not prepared.default.asked


def test_no_network_is_one_line(prepared: Machine) -> None:
    prepared.cut_off("PIP_INDEX_URL", "TORCH_INDEX_URL")
    line = prepared.refused()
    assert line.startswith("No network: pip's package index and http://127.0.0.1:")
    assert "PIP_FIND_LINKS" in line


def test_a_torch_that_cannot_be_imported_shows_its_own_error_and_a_command(prepared: Machine) -> None:
    prepared.cut_off("TORCH_INDEX_URL")
    (prepared.default.folder / "nvidia-cudnn-cu13" / "nvidia_cudnn_cu13-9.20-py3-none-any.whl").unlink()
    write_wheel(prepared.default.folder / "nvidia-cudnn-cu13", "nvidia-cudnn-cu13", "9.20", {})
    line = prepared.refused()
    assert "OSError: libcudnn.so.9: cannot open shared object file" in line
    assert line.endswith("make demo TORCH=cpu")
    assert "small_package" not in prepared.installed


def test_a_cpu_build_that_cannot_be_imported_names_the_command_that_shows_why(prepared: Machine) -> None:
    files = {"torch/__init__.py": "raise ImportError('libgomp.so.1: cannot open shared object file')"}
    write_wheel(prepared.pytorch.folder / "cpu" / "torch", "torch", "2.13.0+cpu", files)
    line = prepared.refused()
    assert "ImportError: libgomp.so.1: cannot open shared object file" in line
    assert line.endswith(".venv/bin/python -c 'import torch'")


def test_a_gpu_build_without_its_libraries_is_replaced(prepared: Machine) -> None:
    torch = break_torch(prepared)
    (torch.parent / "torch-2.13.0.dist-info" / "RECORD").unlink()  # as if pip was killed
    prepared.done()
    assert "torch-2.13.0+cpu.dist-info" in prepared.installed


def move(venv: Path) -> None:
    shutil.copytree(venv, venv.with_name("moved"), symlinks=True)
    shutil.rmtree(venv)
    venv.with_name("moved").rename(venv)
    activate = venv / "bin" / "activate"
    activate.write_text(activate.read_text().replace(str(venv), "/elsewhere/.venv"))


def lose_its_python(venv: Path) -> None:
    for link in venv.glob("bin/python*"):
        link.unlink()
        link.symlink_to("/nowhere/python3.9")


def change_the_version_of_its_python(venv: Path) -> None:
    [folder] = venv.glob("lib/python*")
    folder.rename(folder.with_name("python3.9"))


def lose_pip(venv: Path) -> None:
    for pip in venv.glob("lib/*/site-packages/pip"):
        shutil.rmtree(pip)


@pytest.mark.parametrize("harm", [move, lose_its_python, change_the_version_of_its_python, lose_pip])
def test_a_broken_venv_is_not_kept(prepared: Machine, harm: Callable[[Path], None]) -> None:
    assert can_stay(prepared.venv, this_python=True)
    harm(prepared.venv)
    assert not can_stay(prepared.venv, this_python=False)


def test_a_broken_venv_is_created_again(prepared: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    lose_its_python(prepared.venv)
    change_the_version_of_its_python(prepared.venv)
    make_environment(prepared.venv, this_python=True)
    assert "again; this takes" in capsys.readouterr().out
    assert can_stay(prepared.venv, this_python=True)


def test_torch_cpu_uses_the_cpu_build_or_fails(prepared: Machine) -> None:
    assert prepared.found("cpu").requirement == "torch==2.13.0+cpu"
    prepared.cut_off("TORCH_INDEX_URL")
    with pytest.raises(SetUpError) as refused:
        prepared.found("cpu")
    line = str(refused.value)
    assert line.startswith("No torch==2.13.0 was found for TORCH=cpu: pip's package index says: no CPU build;")
    assert line.endswith("/cpu cannot be reached.")


def test_a_cuda_build_comes_from_pytorchs_index_and_is_kept(prepared: Machine) -> None:
    index = prepared.pytorch.folder / "cu130"
    cuda_torch(index / "torch", "2.13.0+cu130")
    for package in ("nvidia-cudnn-cu13", "small-need"):
        shutil.copytree(prepared.default.folder / package, index / package)
    prepared.environ["TORCH"] = "cu130"
    assert "torch 2.13.0+cu130 for GPUs with its libraries, 3 packages" in prepared.done()
    del prepared.environ["TORCH"]
    assert prepared.set_up("--check").returncode == 0, "without TORCH the build is kept"
    prepared.environ["TORCH"] = "cpu"
    assert prepared.set_up("--check").returncode == 1, "TORCH names another build"


def test_torch_skip_uses_the_installed_torch(prepared: Machine) -> None:
    prepared.environ["TORCH"] = "skip"
    line = prepared.refused()
    assert "No module named 'torch'" in line
    assert line.endswith(".venv/bin/python -m pip install torch==2.13.0")
    assert not prepared.default.asked
    site_packages = next(prepared.venv.glob("lib/*/site-packages"))
    (site_packages / "torch.py").write_text("__version__ = '2.99.0+mine'")
    prepared.done()
    assert "torch.py" in prepared.installed


def test_an_invalid_torch_is_refused_before_any_change(bare: Machine) -> None:
    bare.environ["TORCH"] = "gpu"
    assert bare.refused() == "Invalid TORCH=gpu. Use cpu, cu130 (for NVIDIA GPUs), or skip (install none)."
    assert not bare.venv.exists()


def test_a_proxy_of_the_environment_is_used_for_both_indexes(prepared: Machine) -> None:
    hosts = {"PIP_INDEX_URL": "http://index.invalid", "TORCH_INDEX_URL": "http://index.invalid/pytorch"}
    shutil.copytree(prepared.pytorch.folder, prepared.default.folder / "pytorch")
    prepared.environ |= {**hosts, "PIP_TRUSTED_HOST": "index.invalid", "http_proxy": prepared.environ["PIP_INDEX_URL"]}
    assert prepared.found().torch.url.startswith("http://index.invalid/pytorch/cpu/torch/")


def test_an_unreachable_proxy_is_named_without_its_password(prepared: Machine) -> None:
    prepared.cut_off("http_proxy")
    address = prepared.environ["http_proxy"].removeprefix("http://")
    hosts = dict.fromkeys(("PIP_INDEX_URL", "TORCH_INDEX_URL"), "http://index.invalid")
    prepared.environ |= {**hosts, "PIP_TRUSTED_HOST": "index.invalid", "http_proxy": f"http://me:secret@{address}"}
    line = prepared.refused()
    assert f"cannot be reached through the proxy http://{address}." in line
    assert "secret" not in line


def as_user(user_id: int) -> list[str]:
    return ["setpriv", f"--reuid={user_id}", f"--regid={user_id}", "--clear-groups", *_search_capability(), "--"]


def give(folder: Path, user_id: int) -> None:
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, user_id, user_id, follow_symlinks=False)


@pytest.mark.skipif(not is_root(), reason="only root can be another user")
def test_a_user_without_a_name_is_refused_before_any_download(bare: Machine) -> None:
    line = bare.refused(prefix=as_user(UNKNOWN_USER_ID))
    assert line.startswith(f"User id {UNKNOWN_USER_ID} has no entry in /etc/passwd, and PostgreSQL")
    assert not bare.venv.exists()
    assert not bare.default.asked


@pytest.mark.skipif(not is_root(), reason="only root can be another user")
def test_a_user_without_name_and_home_can_use_another_database(prepared: Machine) -> None:
    give(prepared.venv.parent, UNKNOWN_USER_ID)
    del prepared.environ["HOME"]
    prepared.environ["HEADRACE_DATABASE_URL"] = "postgresql://elsewhere/headrace"
    prepared.done(prefix=as_user(UNKNOWN_USER_ID))
    assert not (prepared.venv.parent / "~").exists()


@pytest.mark.skipif(not is_root(), reason="root writes to any home")
def test_a_read_only_home(prepared: Machine) -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    give(prepared.venv.parent, nobody)
    prepared.done(prefix=as_user(nobody))
    assert not list(Path(prepared.environ["HOME"]).iterdir())


def test_a_package_with_another_hash_is_not_installed(prepared: Machine) -> None:
    write_wheel(
        prepared.default.folder / "small-package", "small-package", "1.0", {"small_package/__init__.py": "import os"}
    )
    assert "DO NOT MATCH THE HASHES" in prepared.refused()
    assert "small_package" not in prepared.installed


def test_a_lock_without_all_hashes_is_refused(prepared: Machine) -> None:
    hashes = prepared.venv.parent / "deploy" / "hashes.txt"
    hashes.write_text(hashes.read_text().partition("\n")[2])
    assert "make lock" in prepared.refused()
