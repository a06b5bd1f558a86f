"""Package indexes on loopback, a project to set up, and small wheels.

`Machine.default` imitates PyPI: its torch is the GPU build. `Machine.pytorch` imitates PyTorch's index.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from deploy.local.ports import free_port
from deploy.local.set_up.pip import Pip
from deploy.local.set_up.torch_build import Build, Search

ROOT = Path(__file__).parents[3]
SET_UP = ROOT / "deploy" / "local" / "set_up"
CUDA_TORCH = """
import ctypes, importlib.util
__version__ = "2.13.0+cu130"
if importlib.util.find_spec("stand_in_cudnn") is None:
    ctypes.CDLL("libcudnn.so.9")
"""
CPU_TORCH = "import small_need\n__version__ = '2.13.0+cpu'\n"
NEEDS = ["small-need>=1", "unknown-extra; extra == 'unknown'"]
CONSTRAINTS = "# versions\nsmall-need==1.0\nsmall-package==1.0\ntorch==2.13.0\n"
PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "build"\nbackend-path = ["deploy"]\n'
BUILD = """
import sys
sys.path.insert(0, {root!r})
from pathlib import Path
from tests.support.stack.indexes import write_wheel

def build_editable(folder, settings=None, metadata=None):
    return write_wheel(Path(folder), "headrace", "0.1.0", {{"headrace.pth": {project!r}}}).name
"""


def write_wheel(folder: Path, name: str, version: str, files: Mapping[str, str], requires: Sequence[str] = ()) -> Path:
    """Write a wheel for any machine."""
    stem = f"{name.replace('-', '_')}-{version}"
    needs = "".join(f"Requires-Dist: {each}\n" for each in requires)
    metadata = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    whole = {**files, **{f"{stem}.dist-info/{file}": text for file, text in metadata.items()}}
    record = f"{stem}.dist-info/RECORD"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in whole.items():
            wheel.writestr(zipfile.ZipInfo(file), text)  # the same bytes at any time
        wheel.writestr(zipfile.ZipInfo(record), "".join(f"{file},,\n" for file in [*whole, record]))
    return path


def cpu_torch(folder: Path) -> Path:
    return write_wheel(folder, "torch", "2.13.0+cpu", {"torch/__init__.py": CPU_TORCH}, NEEDS)


def cuda_torch(folder: Path, version: str = "2.13.0") -> Path:
    requires = [*NEEDS, 'nvidia-cudnn-cu13==9.20; platform_system == "Linux"']
    return write_wheel(folder, "torch", version, {"torch/__init__.py": CUDA_TORCH}, requires)


class Index:
    """A folder of projects, served as a simple index, and as a proxy for any host."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        folder.mkdir(parents=True)

    @contextmanager
    def served(self) -> Iterator[str]:
        """Serve the index during a block. Yield its URL."""
        with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self.asked, directory=str(self.folder))) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_port}"
            finally:
                server.shutdown()
                thread.join()


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, asked: list[str], *args: object, **kwargs: object) -> None:
        self._asked = asked
        super().__init__(*args, **kwargs)  # type: ignore[arg-type] # the server's arguments

    def parse_request(self) -> bool:
        whole = super().parse_request()
        if whole:
            self._asked.append(self.path)
            self.path = urlsplit(self.path).path  # a proxy request has a whole URL
        return whole

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        pass


@dataclass
class Machine:
    """A project folder and the environment of a user with an unconfigured pip."""

    folder: Path
    default: Index
    pytorch: Index
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def venv(self) -> Path:
        return self.folder / "project" / ".venv"

    @property
    def installed(self) -> set[str]:
        """Return the modules and packages in its environment."""
        return {path.name for path in next((self.venv / "lib").glob("*/site-packages")).iterdir()}

    def cut_off(self, *names: str) -> None:
        """Set the variables to a URL on which nothing listens."""
        self.environ |= dict.fromkeys(names, f"http://127.0.0.1:{free_port()}")

    def found(self, wanted: str | None = None) -> Build:
        """Return the torch that set-up would install."""
        return Search(Pip(self.venv, self.environ), "torch==2.13.0", self.environ).find(wanted)

    def set_up(self, *options: str, prefix: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """Run set-up, as make does."""
        command = [*prefix, sys.executable, "-I", str(SET_UP), *options, ".venv"]
        return subprocess.run(
            command, cwd=self.venv.parent, env=self.environ, capture_output=True, text=True, check=False
        )

    def refused(self, *options: str, prefix: Sequence[str] = ()) -> str:
        """Run set-up. Assert that it fails with one line, and return the line."""
        ended = self.set_up(*options, prefix=prefix)
        assert ended.returncode == 1, ended.stdout
        [line] = ended.stderr.splitlines()
        return line.removeprefix("set-up: ")

    def done(self, *options: str, prefix: Sequence[str] = ()) -> str:
        """Run set-up. Assert that it succeeds and that a check then prints nothing. Return its output."""
        ended = self.set_up(*options, prefix=prefix)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        again = self.set_up("--check")
        assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
        return ended.stdout


@contextmanager
def machine(folder: Path) -> Iterator[Machine]:
    """Create a machine without an environment, and serve its two indexes during a block."""
    made = Machine(folder, Index(folder / "default"), Index(folder / "pytorch"))
    _write_project(made.venv.parent)
    _write_default_index(made.default.folder)
    _write_hashes(made.venv.parent, made.default.folder)
    cpu_torch(made.pytorch.folder / "cpu" / "torch")
    (folder / "home").mkdir()
    with made.default.served() as default, made.pytorch.served() as pytorch:
        made.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder / "home"),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": default,
            "TORCH_INDEX_URL": pytorch,
        }
        yield made


def place_environment(template: Path, venv: Path) -> None:
    """Copy an environment without packages to `venv`: faster than to create one."""
    shutil.copytree(template, venv, symlinks=True)
    activate = venv / "bin" / "activate"
    activate.write_text(activate.read_text().replace(str(template), str(venv)))


def _write_project(folder: Path) -> None:
    (folder / "deploy").mkdir(parents=True)
    (folder / "deploy" / "constraints.txt").write_text(CONSTRAINTS)
    (folder / "deploy" / "build.py").write_text(BUILD.format(root=str(ROOT), project=str(folder)))
    project = '[project]\nname = "headrace"\nversion = "0.1.0"\n'
    (folder / "pyproject.toml").write_text(PYPROJECT + project)


def _write_hashes(project: Path, index: Path) -> None:
    lines = []
    for pin in CONSTRAINTS.splitlines()[1:]:
        [wheel] = (index / pin.partition("==")[0]).glob("*.whl")
        lines.append(f"{pin} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")
    (project / "deploy" / "hashes.txt").write_text("".join(lines))


def _write_default_index(folder: Path) -> None:
    cuda_torch(folder / "torch")
    write_wheel(folder / "nvidia-cudnn-cu13", "nvidia-cudnn-cu13", "9.20", {"stand_in_cudnn.py": ""})
    write_wheel(folder / "small-need", "small-need", "1.0", {"small_need.py": ""})
    write_wheel(folder / "small-package", "small-package", "1.0", {"small_package/__init__.py": ""})
