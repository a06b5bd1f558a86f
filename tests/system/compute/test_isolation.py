"""A compute child cannot reach the network, other processes, or files that it does not work on. Real processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from processor_service.compute.isolation import CHILD_UID
from processor_service.compute.messages import REPLIES_FD, REQUESTS_FD
from shared.background import NICENESS
from tests.system.compute.conftest import Model, Pool

pytestmark = [pytest.mark.process, pytest.mark.skipif(sys.platform != "linux", reason="Linux has the means")]

PROGRAM = """
import ctypes, os, signal, socket, sys
from pathlib import Path
from processor_service.compute.isolation import isolate
folder, parent = Path(sys.argv[1]), os.getppid()
missing = isolate([str(folder / "readable")], [str(folder / "writable")])
assert not missing, missing
def syscall(*values):
    if ctypes.CDLL(None, use_errno=True).syscall(*values) < 0: raise OSError(ctypes.get_errno(), "refused")
try:
    {attempt}
except OSError as error:
    print("refused", type(error).__name__)
else:
    print("done")
"""
REFUSED = {
    "TCP": "socket.create_connection(('127.0.0.1', 9))",
    "TCP over IPv6": "socket.socket(socket.AF_INET6)",
    "UDP": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "a Unix socket": "socket.socket(socket.AF_UNIX)",
    "netlink": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "io_uring": "syscall(425, 1, ctypes.create_string_buffer(120))",
    "the environment of the parent": "Path(f'/proc/{parent}/environ').read_bytes()",
    "the memory of the parent": "Path(f'/proc/{parent}/mem').open('rb')",
    "the descriptors of the parent": "os.readlink(f'/proc/{parent}/fd/0')",
    "the environment of the first process": "Path('/proc/1/environ').read_bytes()",
    "a signal to the parent": "os.kill(parent, 0)",
    "a secret": "(folder / 'secret').read_text()",
    "a list of a private folder": "os.listdir(folder)",
    "a secret by a link": "(folder / 'writable' / 'link').read_text()",
    "a new file elsewhere": "(folder / 'new').write_text('')",
    "a new file among the readable": "(folder / 'readable' / 'new').write_text('')",
    "a change of a readable file": "(folder / 'readable' / 'file').open('a')",
    "deleting a readable file": "(folder / 'readable' / 'file').unlink()",
    "root": "os.setuid(0)",
    "a new program with more rights": "os.chown(folder / 'writable' / 'file', 0, 0)",
}
ALLOWED = {
    "a readable file": "(folder / 'readable' / 'file').read_text()",
    "a new file": "(folder / 'writable' / 'new').write_text('new')",
    "moving a file": "(folder / 'writable' / 'file').rename(folder / 'writable' / 'sub' / 'file')",
    "its own kind of process": "assert os.fork() or os._exit(0)",
    "Python's library": "import wave",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("readable", "writable/sub"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("secret", "readable/file", "writable/file"):
        (tmp_path / name).write_text("text")
    (tmp_path / "writable" / "link").symlink_to(tmp_path / "secret")
    return tmp_path


def attempted(attempt: str, folder: Path, *prefix: str) -> str:
    command = [*prefix, sys.executable, "-c", PROGRAM.replace("{attempt}", attempt), str(folder)]
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    return subprocess.run(command, env=environ, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize("attempt", REFUSED)
def test_what_a_child_must_not_do_is_refused(folder: Path, attempt: str) -> None:
    assert attempted(REFUSED[attempt], folder).startswith("refused")


@pytest.mark.parametrize("attempt", ALLOWED)
def test_what_a_child_needs_is_allowed(folder: Path, attempt: str) -> None:
    assert attempted(ALLOWED[attempt], folder) == "done"


async def test_a_warm_child_is_isolated(started: Pool, model: Model) -> None:
    async with started() as pool, pool.slot() as slot:
        assert slot.child.missing == ()
        assert await model.text(slot) == "tick tick"
        status = _status(slot.child.pid)
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2"
        assert int(status["CapEff"], 16) & ~0b10 == 0
        expected = CHILD_UID if os.geteuid() == 0 else os.geteuid()
        assert set(status["Uid"].split()) == {str(expected)}
        assert _link(slot.child.pid, "ns/net") != _link(os.getpid(), "ns/net")
        assert os.getpriority(os.PRIO_PROCESS, slot.child.pid) == NICENESS
        assert _session_niceness(slot.child.pid) in {NICENESS, None}
        assert _descriptors(slot.child.pid) == {"0", "1", "2", str(REQUESTS_FD), str(REPLIES_FD)}


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _session_niceness(pid: int) -> int | None:
    """Return the niceness of a process's session, None on systems without it."""
    path = Path(f"/proc/{pid}/autogroup")
    text = path.read_text() if path.exists() else ""  # empty where sessions are not grouped
    return int(text.rpartition(" ")[2]) if text else None


def _descriptors(pid: int) -> set[str]:
    return {path.name for path in Path(f"/proc/{pid}/fd").iterdir()}


def _link(pid: int, name: str) -> str:
    return str(Path(f"/proc/{pid}/{name}").readlink())
