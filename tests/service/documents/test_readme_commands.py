"""Every command and example of README.md, run as printed and in order, on the stack that `make run` starts."""

import asyncio
import os
import re
import shutil
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from deploy.local.data_dir import DataDir, read_stack_env
from deploy.local.demo import CLIP
from deploy.local.ports import LOOPBACK, free_port
from tests.support.documents.markdown import Block, blocks
from tests.support.stack.launched import ROOT, line_with

README = ROOT / "README.md"
PRINTED_ADDRESS = "127.0.0.1:8000"
WORDS = "ask what you can do for your country"
WITHIN_S = 180
# The test environment is up to date: make must not check it.
PRELUDE = """
set -eu
make() { command make -o .venv/ready -o .venv/models/speakers-embedding.json "$@"; }
"""
DEMO, RUN, *OTHERS = blocks(README, "bash")
OPENAI, POLLING, RECEIVING = blocks(README, "python")
(SCRIPT,) = blocks(README, "js")


class Stack(NamedTuple):
    address: str
    environ: dict[str, str]
    webhook_secret: str


@pytest_asyncio.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    data_dir, port = tmp_path_factory.mktemp("readme") / "data", str(free_port())
    of_stack = {"PORT": port, "DATA_DIR": str(data_dir), "HEADRACE_MODEL": "tiny.en"}
    of_command = {"HEADRACE_URL": f"http://{LOOPBACK}:{port}", "XDG_STATE_HOME": str(data_dir.with_name("state"))}
    environ = {**_environ(), **of_stack, **of_command}
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", PRELUDE + RUN.text, cwd=ROOT, env=environ, stdout=PIPE, stderr=PIPE, start_new_session=True
    )
    try:
        await line_with(process, "Headrace is ready")
        settings = read_stack_env(DataDir(data_dir).stack_env)
        yield Stack(f"{LOOPBACK}:{port}", environ, settings["HEADRACE_WEBHOOK_SECRET"])
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        await asyncio.wait_for(process.communicate(), WITHIN_S)


@pytest.mark.process
async def test_make_demo_prints_what_the_readme_shows_and_leaves_nothing(tmp_path: Path) -> None:
    shown = next(block for block in blocks(README, "") if WORDS in block.text)

    output = await _run("bash", "-c", PRELUDE + DEMO.text, environ=_environ() | {"TMPDIR": str(tmp_path)})

    assert " ".join(_words(shown.text)) in " ".join(_words(output)), output
    lines = output.splitlines()
    assert WORDS in lines[lines.index("webhook verified") - 1]
    assert not _left_behind(tmp_path)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
async def test_commands(shell: str, stack: Stack) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")

    output = await _run(
        shell, "-c", PRELUDE + _to(stack, "".join(block.text for block in OTHERS)), environ=stack.environ
    )

    assert '"status":"COMPLETED"' in output
    assert " --> " in output
    assert WORDS in " ".join(output.split())


@pytest.mark.parametrize("script", [OPENAI, POLLING])
async def test_python(script: Block, stack: Stack) -> None:
    output = await _run(sys.executable, "-c", _to(stack, script.text), environ=stack.environ)

    assert WORDS in output


async def test_javascript(stack: Stack, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    script = tmp_path / "transcribe.mjs"
    script.write_text(_to(stack, SCRIPT.text))

    output = await _run(node, str(script), environ=stack.environ)

    assert WORDS in output


async def test_webhook_verification(stack: Stack) -> None:
    names: dict[str, Any] = {}
    exec(RECEIVING.text.replace("whsec_…", stack.webhook_secret), names)  # noqa: S102 - our own README
    received: asyncio.Future[tuple[str, str]] = asyncio.get_running_loop().create_future()

    async def receive(request: web.Request) -> web.Response:
        received.set_result(names["receive"](await request.text(), dict(request.headers)))
        return web.Response(status=204)

    application = web.Application()
    application.router.add_post("/", receive)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOOPBACK, 0).start()
        job_id = await _submit(stack, f"http://{LOOPBACK}:{runner.addresses[0][1]}/")
        assert await asyncio.wait_for(received, WITHIN_S) == ("job.completed", job_id)
    finally:
        await runner.cleanup()


async def _submit(stack: Stack, webhook_url: str) -> str:
    url, query = f"http://{stack.address}/v1/jobs", {"webhook_url": webhook_url}
    headers = {"Content-Type": "audio/flac"}
    async with (
        aiohttp.ClientSession() as client,
        client.post(url, params=query, data=CLIP.read_bytes(), headers=headers) as response,
    ):
        assert response.status == 202, await response.text()
        return str((await response.json())["job_id"])


def _words(text: str) -> list[str]:
    """Return text without punctuation and line breaks, which differ between CPUs."""
    return re.findall(r"\w+", text.lower())


def _environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}


def _left_behind(folder: Path) -> list[str]:
    """Return the files in a folder and the command lines of processes that run there."""
    commands = [path.read_text() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    return [*map(str, folder.iterdir()), *(command for command in commands if str(folder) in command)]


def _to(stack: Stack, text: str) -> str:
    """Replace the printed address by that of the stack under test."""
    return text.replace(PRINTED_ADDRESS, stack.address)


async def _run(*command: str, environ: dict[str, str]) -> str:
    """Run a command in the repository's root. Assert exit status 0. Return its standard output."""
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environ, stdout=PIPE, stderr=PIPE)
    output, errors = await asyncio.wait_for(process.communicate(), WITHIN_S)
    assert process.returncode == 0, errors.decode()
    return output.decode()
