"""The `pip install` lines of docs/operations.md and docs/command.md, run as printed, with an unconfigured pip.

PyTorch's index is answered on loopback with the CPU build that this machine has; the default index is the real one.
"""

import os
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.audio.signals import CLIP
from tests.support.connections.certificates import make_certificates
from tests.support.connections.programs import program
from tests.support.install.cpu_index import HOST, download_wheels, serving
from tests.support.models import model_for
from tests.support.stack.launched import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.process]
OPERATIONS, COMMAND_PAGE = "docs/operations.md", "docs/command.md"
TORCH = "torch==2.13.0"
HEAVY = ("torch", "numpy", "scipy")


def printed(document: str) -> list[str]:
    """Return the commands without comments."""
    lines = re.findall(r"^(pip install .*)$", (ROOT / document).read_text(), re.MULTILINE)
    return [line.partition("#")[0].strip() for line in lines]


INGEST, PROCESSOR = printed(OPERATIONS)[:2], printed(OPERATIONS)[2:]
COMMAND = printed(COMMAND_PAGE)
SERVICES = ("litestar", "arq", "asyncpg")


@pytest.fixture(scope="module")
def unconfigured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Environment variables of an unconfigured pip that can reach the hosts."""
    folder = tmp_path_factory.mktemp("index")
    if reason := download_wheels(TORCH, folder):
        pytest.skip(reason)
    certificates = make_certificates(tmp_path_factory.mktemp("certificates"), HOST)
    known = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    bundle = certificates.ca.with_name("bundle.pem")
    bundle.write_text((Path(known).read_text() if known else "") + certificates.ca.read_text())
    kept = {
        name: value for name, value in os.environ.items() if not name.lower().startswith(("pip_", "http", "requests_"))
    }
    with serving(folder, certificates) as proxy:
        quiet = {"PIP_CONFIG_FILE": os.devnull, "PIP_CERT": str(bundle), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        yield kept | quiet | {"https_proxy": proxy, "SSL_CERT_FILE": str(bundle), "REQUESTS_CA_BUNDLE": str(bundle)}


def installed_by(commands: list[str], folder: Path, environment: dict[str, str]) -> Path:
    """Run the commands in a copy of the repository. Return the new environment's folder of programs."""
    source, programs = folder / "source", folder / "venv/bin"
    files = subprocess.run(
        [program("git"), "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, check=True, capture_output=True
    )
    for name in filter(None, files.stdout.decode().split("\0")):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, source / name)
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    path = f"{programs}{os.pathsep}{environment['PATH']}"
    for command in commands:
        shell = ["bash", "-c", command]
        done = subprocess.run(
            shell, cwd=source, env=environment | {"PATH": path}, check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return programs


def distributions(programs: Path) -> str:
    listed = subprocess.run([programs / "pip", "list", "--format=freeze"], check=True, capture_output=True, text=True)
    return listed.stdout.lower()


def test_the_commands_and_the_pins_name_the_same_torch() -> None:
    assert any(TORCH in command for command in PROCESSOR)
    for pins in ("constraints", "requirements-processor"):
        lines = (ROOT / f"deploy/{pins}.txt").read_text().splitlines()
        assert TORCH in [line.partition(" ")[0] for line in lines]


def test_the_ingest_is_installed_without_torch(unconfigured: dict[str, str], tmp_path: Path) -> None:
    programs = installed_by(INGEST, tmp_path, unconfigured)

    names = {line.partition("==")[0] for line in distributions(programs).splitlines()}
    assert names.isdisjoint(HEAVY)
    subprocess.run([programs / "python", "-c", "import ingest_service.app, deploy.migrate"], cwd=tmp_path, check=True)


def test_the_command_is_installed_without_the_services(unconfigured: dict[str, str], tmp_path: Path) -> None:
    programs = installed_by(COMMAND, tmp_path, unconfigured)

    names = {line.partition("==")[0] for line in distributions(programs).splitlines()}
    assert names.isdisjoint({*HEAVY, *SERVICES})
    headrace, home = str(programs / "headrace"), {"HOME": str(tmp_path)}
    assert subprocess.run([headrace, "--version"], check=True, capture_output=True).stdout.startswith(b"headrace ")
    refused = subprocess.run([headrace, "jobs"], check=False, capture_output=True, env=home, text=True)
    assert (refused.returncode, "Traceback" in refused.stderr) == (1, False)


def test_the_processor_is_installed_for_cpus_and_can_transcribe(unconfigured: dict[str, str], tmp_path: Path) -> None:
    programs = installed_by(PROCESSOR, tmp_path, unconfigured)

    found = distributions(programs)
    assert "torch==2.13.0+cpu" in found
    assert not re.findall(r"^(?:nvidia|cuda|triton).*", found, re.MULTILINE)
    probe = ROOT / "tests/support/install/transcribe_clip.py"
    command = [str(programs / "python"), "-I", "-W", "ignore", str(probe), str(model_for("openai-whisper")), str(CLIP)]
    text = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert "ask what you can do for your country" in text.lower()
