"""Clients generated from the document of the running stack: no warnings, and they submit, poll, read and cancel."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.acceptance.client import words_of
from tests.support.clips import JFK
from tests.support.stack.launched import ROOT, Launched

SUPPORT = ROOT / "tests/support/acceptance"
TIMEOUT_S = 120
COLOURS = re.compile(r"\x1b\[\d+m")


def run(*command: str | Path, cwd: Path, **environ: str) -> str:
    """Return what a program prints, both outputs together. Assert that it succeeds."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | environ,
        timeout=TIMEOUT_S,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return COLOURS.sub("", done.stdout)


def assert_all_done(printed: str) -> None:
    """Assert what a client printed after it has done everything with one clip."""
    found: dict[str, Any] = json.loads(printed)
    assert (found["status"], found["cancelled"], found["remote"]) == ("COMPLETED", "CANCELLED", "QUEUED")
    assert (found["problem"], found["metadata"]) == ("not_found", {"call": 4711})
    assert found["audio_bytes"] == JFK.path.stat().st_size
    assert "country" in found["text"]
    assert words_of(found["txt"]) == words_of(found["text"])
    assert found["srt"].startswith("1\n00:00:0")
    assert found["vtt"].startswith("WEBVTT")


def test_openapi_python_client(stack: Launched, tmp_path: Path) -> None:
    programs = Path(sys.executable).parent  # the generator looks for ruff there
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    options = ("--url", f"{stack.url}/schema/openapi.json", "--meta", "none", "--output-path", "headrace_client")
    printed = run(
        programs / "openapi-python-client", "generate", "--fail-on-warning", *options, cwd=tmp_path, PATH=path
    )
    assert printed.strip() == "Generating headrace_client"
    use = (sys.executable, SUPPORT / "generated_python.py", stack.url, JFK.path)
    assert_all_done(run(*use, cwd=tmp_path, PYTHONPATH=str(tmp_path)))


@pytest.fixture(scope="session")
def packages(request: pytest.FixtureRequest) -> Path:
    """The folder of the generator and the compiler, installed by the lock file and kept between runs."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("@hey-api/openapi-ts needs Node.js and npm, which are not installed")
    cache = request.config.cache
    assert cache is not None
    folder = Path(cache.mkdir("generated-client"))
    for name in ("package.json", "package-lock.json"):
        shutil.copy(SUPPORT / "generated_js" / name, folder)
    if not (folder / "node_modules/typescript").exists():
        npm = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(npm, cwd=folder, timeout=TIMEOUT_S, check=False, capture_output=True)
        if done.returncode:
            pytest.skip("@hey-api/openapi-ts could not be installed: npm reaches no registry")
    return folder


def test_hey_api_openapi_ts(stack: Launched, packages: Path, tmp_path: Path) -> None:
    programs = packages / "node_modules/.bin"
    document = f"{stack.url}/schema/openapi.json"
    printed = run(programs / "openapi-ts", "--input", document, "--output", "client", "--no-log-file", cwd=tmp_path)
    assert "Done!" in printed
    assert not re.search("warn|error|unsupported|unknown", printed, re.IGNORECASE), printed
    for name in ("use.ts", "tsconfig.json"):
        shutil.copy(SUPPORT / "generated_js" / name, tmp_path)
    run(programs / "tsc", "--project", tmp_path, cwd=tmp_path)
    printed = run("node", "built/use.js", cwd=tmp_path, URL_OF_SERVICE=stack.url, AUDIO=str(JFK.path))
    assert_all_done(printed)
