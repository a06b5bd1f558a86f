"""Set-up as it happens on other machines: real pip, real indexes on loopback, small wheels."""

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
from deploy.local.set_up.errors import SetUpError
from deploy.local.unprivileged import _right_to_look, is_root
from tests.stack.indexes import Machine, cpu_torch, cuda_torch, machine, place_environment, write_wheel

pytestmark = pytest.mark.process

NOBODY_KNOWN = 54321


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with pip alone."""
    venv = tmp_path_factory.mktemp("template") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    return venv


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Machine]:
    """A machine without a .venv."""
    with machine(tmp_path) as made:
        yield made


@pytest.fixture
def begun(bare: Machine, template: Path) -> Machine:
    """A machine with a .venv that holds pip alone: making one takes most of the time."""
    place_environment(template, bare.venv)
    return bare


def break_torch(here: Machine) -> Path:
    """Leave the build for GPUs without its libraries in .venv, as an older set-up did."""
    wheel = cuda_torch(here.folder / "wheels")
    command = [str(here.venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps", str(wheel)]
    subprocess.run(command, check=True, env=here.environ)
    [torch] = here.venv.glob("lib/*/site-packages/torch")
    return torch


def test_plain_pip_gets_the_cpu_build_and_later_what_was_lost(bare: Machine) -> None:
    printed = bare.done()
    assert ".venv is made; this takes" in printed
    assert "torch 2.13.0+cpu from 127.0.0.1, 0 MB" in printed
    assert {"torch", "small_need.py", "small_package", "headrace.pth"} <= bare.installed
    assert "stand_in_cudnn.py" not in bare.installed
    assert not any(path.endswith(".whl") and "nvidia" in path for path in bare.default.asked)
    [package] = bare.venv.glob("lib/*/site-packages/small_package")
    shutil.rmtree(package)
    bare.pytorch.asked.clear()
    bare.done()
    assert package.is_dir()
    assert not bare.pytorch.asked, "a torch that works stays"


def test_without_pytorchs_index_torch_comes_with_its_libraries_after_their_size(begun: Machine) -> None:
    begun.cut_off("TORCH_INDEX_URL")
    (begun.default.folder / "nvidia-cudnn-cu13" / "nvidia_cudnn_cu13-9.20-py3-none-any.whl").unlink()
    libraries = {"stand_in_cudnn.py": "", "library.so": "0" * 3_000_000}
    write_wheel(begun.default.folder / "nvidia-cudnn-cu13", "nvidia-cudnn-cu13", "9.20", libraries)
    printed = begun.done()
    [line] = [line for line in printed.splitlines() if "There is no CPU build" in line]
    assert "/cpu cannot be reached" in line
    assert "3 packages, 3 MB" in line
    assert "TORCH_INDEX_URL" in line
    assert re.search(r"done, [1-9]\d* MB fetched", printed), "more than 3 where pip is old"
    assert "stand_in_cudnn.py" in begun.installed


def test_a_cpu_build_of_the_configured_index_is_taken_and_pytorchs_not_asked(begun: Machine) -> None:
    cpu_torch(begun.default.folder / "torch")
    assert begun.found().requirement == "torch==2.13.0+cpu"
    assert not begun.pytorch.asked


def test_a_cpu_build_in_a_folder_of_wheels_is_taken(begun: Machine) -> None:
    wheel = cpu_torch(begun.folder / "wheels")
    begun.environ["PIP_FIND_LINKS"] = str(wheel.parent)
    assert begun.found().torch.url == wheel.as_uri().replace("+", "%2B")
    assert not begun.pytorch.asked


def test_a_folder_of_wheels_is_enough_without_any_index_and_a_gpu_is_named(begun: Machine) -> None:
    wheels = begun.folder / "wheels"
    cpu_torch(wheels)
    for wheel in begun.default.folder.glob("small-*/*.whl"):
        shutil.copy(wheel, wheels)
    (wheels / "nvidia-smi").touch(0o755)
    begun.environ |= {"PIP_FIND_LINKS": str(wheels), "PIP_NO_INDEX": "1", "PATH": f"{wheels}:{begun.environ['PATH']}"}
    printed = begun.done()
    assert f"torch 2.13.0+cpu from {wheels}\n" in printed
    assert "To use the GPU: make demo TORCH=cu130\n" in printed
    assert "done, 0 MB fetched" in printed
    assert not begun.default.asked


def test_no_network_is_one_line(begun: Machine) -> None:
    begun.cut_off("PIP_INDEX_URL", "TORCH_INDEX_URL")
    line = begun.refused()
    assert line.startswith("No network: pip's package index and http://127.0.0.1:")
    assert "PIP_FIND_LINKS" in line


def test_a_torch_that_cannot_be_imported_shows_its_own_error_and_a_command(begun: Machine) -> None:
    begun.cut_off("TORCH_INDEX_URL")
    (begun.default.folder / "nvidia-cudnn-cu13" / "nvidia_cudnn_cu13-9.20-py3-none-any.whl").unlink()
    write_wheel(begun.default.folder / "nvidia-cudnn-cu13", "nvidia-cudnn-cu13", "9.20", {})
    line = begun.refused()
    assert "OSError: libcudnn.so.9: cannot open shared object file" in line
    assert line.endswith("make demo TORCH=cpu")
    assert "small_package" not in begun.installed


def test_a_cpu_build_that_cannot_be_imported_names_the_command_that_shows_why(begun: Machine) -> None:
    files = {"torch/__init__.py": "raise ImportError('libgomp.so.1: cannot open shared object file')"}
    write_wheel(begun.pytorch.folder / "cpu" / "torch", "torch", "2.13.0+cpu", files)
    line = begun.refused()
    assert "ImportError: libgomp.so.1: cannot open shared object file" in line
    assert line.endswith(".venv/bin/python -c 'import torch'")


def test_a_torch_for_gpus_that_was_left_without_its_libraries_is_replaced(begun: Machine) -> None:
    torch = break_torch(begun)
    (torch.parent / "torch-2.13.0.dist-info" / "RECORD").unlink()  # as when pip is killed over it
    begun.done()
    assert "torch-2.13.0+cpu.dist-info" in begun.installed


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
def test_a_venv_that_cannot_work_does_not_stay(begun: Machine, harm: Callable[[Path], None]) -> None:
    assert can_stay(begun.venv, this_python=True)
    harm(begun.venv)
    assert not can_stay(begun.venv, this_python=False)


def test_a_venv_that_cannot_work_is_made_again(begun: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    lose_its_python(begun.venv)
    change_the_version_of_its_python(begun.venv)
    make_environment(begun.venv, this_python=True)
    assert "made again" in capsys.readouterr().out
    assert can_stay(begun.venv, this_python=True)


def test_torch_cpu_takes_the_cpu_build_or_none(begun: Machine) -> None:
    assert begun.found("cpu").requirement == "torch==2.13.0+cpu"
    begun.cut_off("TORCH_INDEX_URL")
    with pytest.raises(SetUpError) as refused:
        begun.found("cpu")
    line = str(refused.value)
    assert line.startswith("No torch==2.13.0 was found for TORCH=cpu: pip's package index says: it has no CPU build;")
    assert line.endswith("/cpu cannot be reached.")


def test_torch_of_a_cuda_comes_from_pytorchs_index_and_stays(begun: Machine) -> None:
    index = begun.pytorch.folder / "cu130"
    cuda_torch(index / "torch", "2.13.0+cu130")
    for package in ("nvidia-cudnn-cu13", "small-need"):
        shutil.copytree(begun.default.folder / package, index / package)
    begun.environ["TORCH"] = "cu130"
    assert "torch 2.13.0+cu130 for GPUs with its libraries, 3 packages" in begun.done()
    del begun.environ["TORCH"]
    assert begun.set_up("--check").returncode == 0, "without TORCH the build stays"
    begun.environ["TORCH"] = "cpu"
    assert begun.set_up("--check").returncode == 1, "another build is asked for"


def test_torch_skip_uses_what_the_environment_has(begun: Machine) -> None:
    begun.environ["TORCH"] = "skip"
    line = begun.refused()
    assert "No module named 'torch'" in line
    assert line.endswith(".venv/bin/python -m pip install torch==2.13.0")
    assert not begun.default.asked
    site_packages = next(begun.venv.glob("lib/*/site-packages"))
    (site_packages / "torch.py").write_text("__version__ = '2.99.0+mine'")
    begun.done()
    assert "torch.py" in begun.installed


def test_any_other_word_for_torch_is_refused_before_anything_is_made(bare: Machine) -> None:
    bare.environ["TORCH"] = "gpu"
    assert bare.refused() == "TORCH=gpu is no build of torch. Use cpu, cu130 (for NVIDIA GPUs), or skip (install none)."
    assert not bare.venv.exists()


def test_a_proxy_of_the_environment_is_used_for_both_indexes(begun: Machine) -> None:
    hosts = {"PIP_INDEX_URL": "http://index.invalid", "TORCH_INDEX_URL": "http://index.invalid/pytorch"}
    shutil.copytree(begun.pytorch.folder, begun.default.folder / "pytorch")
    begun.environ |= {**hosts, "PIP_TRUSTED_HOST": "index.invalid", "http_proxy": begun.environ["PIP_INDEX_URL"]}
    assert begun.found().torch.url.startswith("http://index.invalid/pytorch/cpu/torch/")


def test_a_proxy_that_is_not_there_is_named_without_its_password(begun: Machine) -> None:
    begun.cut_off("http_proxy")
    address = begun.environ["http_proxy"].removeprefix("http://")
    hosts = dict.fromkeys(("PIP_INDEX_URL", "TORCH_INDEX_URL"), "http://index.invalid")
    begun.environ |= {**hosts, "PIP_TRUSTED_HOST": "index.invalid", "http_proxy": f"http://me:secret@{address}"}
    line = begun.refused()
    assert f"cannot be reached through the proxy http://{address}." in line
    assert "secret" not in line


def as_user(user_id: int) -> list[str]:
    return ["setpriv", f"--reuid={user_id}", f"--regid={user_id}", "--clear-groups", *_right_to_look(), "--"]


def give(folder: Path, user_id: int) -> None:
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, user_id, user_id, follow_symlinks=False)


@pytest.mark.skipif(not is_root(), reason="only root can be another user")
def test_a_user_without_a_name_is_refused_before_anything_is_fetched(bare: Machine) -> None:
    line = bare.refused(prefix=as_user(NOBODY_KNOWN))
    assert line.startswith(f"User id {NOBODY_KNOWN} has no entry in /etc/passwd, and PostgreSQL")
    assert not bare.venv.exists()
    assert not bare.default.asked


@pytest.mark.skipif(not is_root(), reason="only root can be another user")
def test_a_user_without_a_name_and_a_home_may_use_a_database_of_ones_own(begun: Machine) -> None:
    give(begun.venv.parent, NOBODY_KNOWN)
    del begun.environ["HOME"]
    begun.environ["HEADRACE_DATABASE_URL"] = "postgresql://elsewhere/headrace"
    begun.done(prefix=as_user(NOBODY_KNOWN))
    assert not (begun.venv.parent / "~").exists()


@pytest.mark.skipif(not is_root(), reason="root writes to any home")
def test_a_home_that_is_read_only(begun: Machine) -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    give(begun.venv.parent, nobody)
    begun.done(prefix=as_user(nobody))
    assert not list(Path(begun.environ["HOME"]).iterdir())
