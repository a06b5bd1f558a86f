"""No process of the stack shows a secret in `/proc/<pid>/environ`, and no other module reads the environment."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stack.launched import Launched, descendants, line_with, until

ROOT = Path(__file__).resolve().parents[3]
SIGNING = "whsec_" + "c2VjcmV0" * 4
SECRETS = {
    "HEADRACE_WEBHOOK_SECRET": SIGNING,
    "HEADRACE_PROVIDERS": "acme",
    "HEADRACE_PROVIDER_ACME_URL": "http://127.0.0.1:9/v1",
    "HEADRACE_PROVIDER_ACME_API_KEY": "key-of-the-provider",
    "HEADRACE_PROVIDER_ACME_MODEL": "one",
    "AWS_SECRET_ACCESS_KEY": "key-of-the-bucket",
    "API_KEY": "key-of-the-operator",
}
# Who may use `os.environ`, besides `take_environment`: for what it passes on, none of which is a setting.
READERS = {
    "shared/environment.py": "takes it",
    "processor_service/compute/child_process.py": "chooses what a child inherits",
    "deploy/local/processes.py": "chooses what the servers inherit",
    "deploy/local/services.py": "what the services inherit besides their settings",
    "deploy/local/operate.py": "what a command inherits besides its settings",
    "deploy/local/platforms.py": "a tool of developers",
    "deploy/browser_modules.py": "a tool of set-up",
}


@pytest.mark.process
async def test_no_process_of_the_stack_shows_a_secret(tmp_path: Path) -> None:
    chosen = {"PROCESSORS": "1", "HEADRACE_TRANSCRIBER": "scripted", "HEADRACE_INGEST_PROCESSES": "2"}
    stack = Launched(tmp_path / "data", environ={**chosen, **SECRETS})
    async with stack.started() as launcher:
        await line_with(launcher, "Headrace is ready")
        settings = stack.settings()
        secrets = [*SECRETS.values(), settings["HEADRACE_DATABASE_URL"], settings["HEADRACE_REDIS_URL"]]
        family = {launcher.pid, *descendants(launcher.pid)}
        serving = descendants(stack.pids()["ingest"])
        computing = descendants(stack.pids()["processor-0"])

        await until(lambda: not _shown(family, secrets))

        assert len(serving) == 2
        assert len(computing) == 1


def _shown(pids: set[int], secrets: list[str]) -> list[tuple[int, str]]:
    """Return which processes show which secrets."""
    environs = {pid: Path(f"/proc/{pid}/environ").read_bytes() for pid in pids if Path(f"/proc/{pid}").exists()}
    return [(pid, secret) for pid, environ in environs.items() for secret in secrets if secret.encode() in environ]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux shows the environment")
@pytest.mark.process
def test_libraries_find_their_variables_after_it_was_taken() -> None:
    program = """
import ctypes, os, pathlib
from shared.environment import take_environment
taken = take_environment()
shown = pathlib.Path("/proc/self/environ").read_bytes()
library = ctypes.CDLL(None)
library.getenv.restype = ctypes.c_char_p
found, dumpable = library.getenv(b"AWS_REGION"), library.prctl(3, 0, 0, 0, 0)  # PR_GET_DUMPABLE
print(taken["HEADRACE_REDIS_URL"], b"s3cret" in shown, found, os.environ.get("HEADRACE_REDIS_URL"))
print(b"PATH=" in shown, dumpable)
"""
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "AWS_REGION": "north-s3cret", "HEADRACE_REDIS_URL": "s3cret"}
    ran = subprocess.run([sys.executable, "-c", program], env=environ, check=True, capture_output=True, text=True)
    assert ran.stdout.split() == ["s3cret", "False", "b'north-s3cret'", "None", "True", "0"]


def test_no_other_module_reads_the_environment() -> None:
    assert set(_readers()) == set(READERS)


def _readers() -> Iterator[str]:
    for package in ("shared", "ingest_service", "processor_service", "deploy"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = str(path.relative_to(ROOT))
            used = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
            if used & {"environ", "environb", "getenv", "getenvb"} and not name.startswith("deploy/local/set_up/"):
                yield name
